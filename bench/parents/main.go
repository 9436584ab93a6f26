// Measures goroutines that do nothing, in a program that could serve. Each line of standard
// input, `batches operations pause_us`, asks for one measurement; the answer is
// `goroutine=nanoseconds`, the lower quartile of the batches.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"sort"
	"sync"
	"time"
)

func batch(operations int) float64 {
	var all sync.WaitGroup
	all.Add(operations)
	start := time.Now()
	for range operations {
		go all.Done()
	}
	all.Wait()
	return float64(time.Since(start).Nanoseconds()) / float64(operations)
}

func main() {
	runtime.GOMAXPROCS(1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(listener, http.NotFoundHandler())
	fmt.Printf("http=%d\n", listener.Addr().(*net.TCPAddr).Port)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var batches, operations, pause int
		if _, err := fmt.Sscan(lines.Text(), &batches, &operations, &pause); err != nil {
			log.Fatal(err)
		}
		times := make([]float64, batches)
		for i := range times {
			times[i] = batch(operations)
			time.Sleep(time.Duration(pause) * time.Microsecond)
		}
		sort.Float64s(times)
		fmt.Printf("goroutine=%.1f\n", times[len(times)/4])
	}
}
