// SPDX-License-Identifier: MIT

// The program of bench/empty_programs.h with Go.
package main

import (
	"os"
	"runtime"
)

func main() {
	if len(os.Args) > 1 {
		os.Stdout.WriteString("Go " + runtime.Version()[len("go"):] + "\n")
	}
}
