// SPDX-License-Identifier: MIT

// The HTTP server of bench/io/http.c with Go's net/http, on one processor.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
)

func greet(answer http.ResponseWriter, request *http.Request) {
	answer.Header().Set("Content-Type", "text/plain")
	answer.Write([]byte("Hello, world\n"))
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go_http version | <port>")
		os.Exit(2)
	}
	if os.Args[1] == "version" {
		fmt.Println("Go " + runtime.Version()[len("go"):] + " net/http")
		return
	}
	runtime.GOMAXPROCS(1)
	listener, err := net.Listen("tcp4", "127.0.0.1:"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	fmt.Fprintln(os.Stderr, http.Serve(listener, http.HandlerFunc(greet)))
	os.Exit(1)
}
