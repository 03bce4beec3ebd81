// SPDX-License-Identifier: MIT

// An echo server of bench/peers/echo.h with Go's goroutines, on one processor. Go turns TCP_NODELAY
// on for every connection, and takes the system's backlog.
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
)

func echo(connection net.Conn) {
	defer connection.Close()
	buf := make([]byte, 64*1024)
	for {
		got, err := connection.Read(buf)
		if err != nil {
			return
		}
		if _, err = connection.Write(buf[:got]); err != nil {
			return
		}
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go_echo version | <port>")
		os.Exit(2)
	}
	if os.Args[1] == "version" {
		fmt.Println("Go " + runtime.Version()[len("go"):])
		return
	}
	runtime.GOMAXPROCS(1)
	listener, err := net.Listen("tcp4", "127.0.0.1:"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		connection, err := listener.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go echo(connection)
	}
}
