module millstream.dev/go

go 1.26
