// SPDX-License-Identifier: MIT

// The workloads of bench/peers.h with Go's goroutines, on one processor.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

func chanRoundTrip(operations int) {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for value := range ping {
			pong <- value
		}
		close(pong)
	}()
	for i := 0; i < operations; i++ {
		ping <- i
		<-pong
	}
	close(ping)
	<-pong
}

func chanBuffered(operations int) {
	items := make(chan int, 128)
	go func() {
		for i := 0; i < operations; i++ {
			items <- i
		}
	}()
	for i := 0; i < operations; i++ {
		<-items
	}
}

// Go's mutex does not hand over: who unlocks may lock again before the other one runs, until that
// one has waited for a millisecond.
func mutex(operations int) {
	var lock sync.Mutex
	var done sync.WaitGroup
	for task := 0; task < 2; task++ {
		done.Add(1)
		go func() {
			for i := 0; i < operations/2; i++ {
				lock.Lock()
				runtime.Gosched()
				lock.Unlock()
			}
			done.Done()
		}()
	}
	done.Wait()
}

func mutexUncontended(operations int) {
	var lock sync.Mutex
	for i := 0; i < operations; i++ {
		lock.Lock()
		lock.Unlock()
	}
}

func select8(operations int) {
	var c [8]chan int
	for i := range c {
		c[i] = make(chan int)
	}
	go func() {
		for i := 0; i < operations; i++ {
			c[i%len(c)] <- i
		}
	}()
	for i := 0; i < operations; i++ {
		select {
		case <-c[0]:
		case <-c[1]:
		case <-c[2]:
		case <-c[3]:
		case <-c[4]:
		case <-c[5]:
		case <-c[6]:
		case <-c[7]:
		}
	}
}

// A generator, as they are written in Go before 1.23: here one that is never given up half-way,
// which would take a second channel and a select.
func generator(operations int) {
	values := make(chan int)
	go func() {
		for i := 0; i < operations; i++ {
			values <- i
		}
		close(values)
	}()
	for range values {
	}
}

func group(operations int) {
	var members sync.WaitGroup
	members.Add(operations)
	for i := 0; i < operations; i++ {
		go members.Done()
	}
	members.Wait()
}

var workloads = map[string]func(int){
	"chan_round_trip":   chanRoundTrip,
	"chan_buffered":     chanBuffered,
	"mutex":             mutex,
	"mutex_uncontended": mutexUncontended,
	"select8":           select8,
	"generator":         generator,
	"group":             group,
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println("Go " + runtime.Version()[len("go"):])
		return
	}
	operations := 0
	if len(os.Args) == 3 {
		operations, _ = strconv.Atoi(os.Args[2])
	}
	if operations <= 0 {
		fmt.Fprintln(os.Stderr, "usage: go version | <workload> <operations>")
		os.Exit(2)
	}
	run, known := workloads[os.Args[1]]
	if !known {
		fmt.Println("-")
		return
	}
	runtime.GOMAXPROCS(1)
	run(operations)
	start := time.Now()
	run(operations)
	fmt.Printf("%.3f\n", float64(time.Since(start).Nanoseconds())/float64(operations))
}
