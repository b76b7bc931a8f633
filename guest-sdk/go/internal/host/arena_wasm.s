//go:build wasip1

// Go takes declarations without a body only in a package that has assembly.

#include "textflag.h"

// func Trap()
TEXT ·Trap(SB), NOSPLIT, $0-0
	UNDEF
	RET
