// The Millstream SDK for plugins in C: the ABI.
