// A static Go program that has TLS linked in, and waits.
package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) > 1 {
		// The linker leaves out what is never called.
		connection, err := tls.Dial("tcp", os.Args[1], nil)
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(connection, "hello")
		bufio.NewReader(connection).WriteTo(os.Stdout)
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
}
