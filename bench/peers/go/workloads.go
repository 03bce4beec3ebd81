// SPDX-License-Identifier: MIT

// The workloads of bench/peers.h with Go's goroutines, on one processor.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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

func spawnOneByOne(operations int) {
	var done sync.WaitGroup
	for i := 0; i < operations; i++ {
		done.Add(1)
		go done.Done()
		done.Wait()
	}
}

func spawnInBatches(operations int) {
	var done sync.WaitGroup
	for batch := 1000; operations > 0; operations -= batch {
		if batch > operations {
			batch = operations
		}
		done.Add(batch)
		for i := 0; i < batch; i++ {
			go done.Done()
		}
		done.Wait()
	}
}

// The nanoseconds of a yield among so many; the first one looks at the clock, when all have
// started, for which they wait as the first may be long at it before the last is there.
func yieldAmong(tasks, operations int) float64 {
	var done sync.WaitGroup
	var started int64
	var took time.Duration
	laps := operations / tasks
	if laps == 0 {
		laps = 1
	}
	done.Add(tasks)
	for task := 0; task < tasks; task++ {
		go func(hasWatch bool) {
			atomic.AddInt64(&started, 1)
			for atomic.LoadInt64(&started) < int64(tasks) {
				runtime.Gosched()
			}
			runtime.Gosched()
			start := time.Now()
			for lap := 0; lap < laps; lap++ {
				runtime.Gosched()
			}
			if hasWatch {
				took = time.Since(start)
			}
			done.Done()
		}(task == 0)
	}
	done.Wait()
	return float64(took.Nanoseconds()) / float64(laps*tasks)
}

func residentBytes() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if strings.HasPrefix(line, "VmRSS:") {
			kib, _ := strconv.ParseFloat(strings.Fields(line)[1], 64)
			return kib * 1024
		}
	}
	return 0
}

// A goroutine that can be told to end while it sleeps waits for a timer and a channel. Seconds
// until all sleep and until all have ended, and bytes of each.
func sleepMany(count int) {
	var ready, done sync.WaitGroup
	quit := make(chan struct{})
	resident, start := residentBytes(), time.Now()
	ready.Add(count)
	done.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			timer := time.NewTimer(time.Hour)
			ready.Done()
			select {
			case <-quit:
				timer.Stop()
			case <-timer.C:
			}
			done.Done()
		}()
	}
	ready.Wait()
	started := time.Since(start).Seconds()
	resident = residentBytes() - resident
	start = time.Now()
	close(quit)
	done.Wait()
	fmt.Printf("%.4f %.4f %.0f\n", started, time.Since(start).Seconds(), resident/float64(count))
}

func cpuSeconds() float64 {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

// CPU seconds for goroutines that each sleep another part of a second.
func timers(count int) {
	var done sync.WaitGroup
	start := cpuSeconds()
	done.Add(count)
	for i := 0; i < count; i++ {
		go func(part int) {
			time.Sleep(time.Duration(part) * time.Second / time.Duration(count))
			done.Done()
		}(i * 611953 % count)
	}
	done.Wait()
	fmt.Printf("%.4f\n", cpuSeconds()-start)
}

var yields = map[string]int{
	"yield_2":      2,
	"yield_100":    100,
	"yield_10000":  10000,
	"yield_100000": 100000,
}

// They print their figures themselves: bench/fresh.h.
var onces = map[string]func(int){
	"sleep":  sleepMany,
	"timers": timers,
}

var workloads = map[string]func(int){
	"chan_round_trip":   chanRoundTrip,
	"chan_buffered":     chanBuffered,
	"mutex":             mutex,
	"mutex_uncontended": mutexUncontended,
	"select8":           select8,
	"generator":         generator,
	"group":             group,
	"spawn_one_by_one":  spawnOneByOne,
	"spawn_in_batches":  spawnInBatches,
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
	runtime.GOMAXPROCS(1)
	if once, known := onces[os.Args[1]]; known {
		once(operations)
		return
	}
	if tasks, known := yields[os.Args[1]]; known {
		fmt.Printf("%.3f\n", yieldAmong(tasks, operations))
		return
	}
	run, known := workloads[os.Args[1]]
	if !known {
		fmt.Println("-")
		return
	}
	run(operations)
	start := time.Now()
	run(operations)
	fmt.Printf("%.3f\n", float64(time.Since(start).Nanoseconds())/float64(operations))
}
