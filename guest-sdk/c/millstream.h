// The Millstream SDK for plugins in C.
