module measured

go 1.26

require millstream.dev/go v0.1.0

replace millstream.dev/go => ../../../guest-sdk/go
