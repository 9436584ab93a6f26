// A server that asks a model for each request, with Go's own HTTP and TLS:
// go-http KIND PORT MODEL_URL FOLDER, where KIND is go or go-tls and FOLDER has its certificates.
//
// Each request's path ends with its number, and each call that it makes carries that number in
// its body.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

var (
	model  string
	client = &http.Client{}
	jobs   = make(chan job)
	idle   = make(chan job)
)

type job struct {
	number string
	done   chan struct{}
}

func main() {
	kind, port, folder := os.Args[1], os.Args[2], os.Args[4]
	model = os.Args[3] + "/v1/chat/completions"
	// One pool for all requests. A map that is not nil keeps HTTP/2 off.
	client.Transport = &http.Transport{
		MaxIdleConnsPerHost: 512,
		TLSClientConfig:     trusting(folder),
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	for i := 0; i < 8; i++ {
		go work()
	}
	http.HandleFunc("/ask/", answer(ask))
	http.HandleFunc("/spawn/", answer(spawn))
	http.HandleFunc("/pool/", answer(pool))
	http.HandleFunc("/hire/", answer(hire))
	server := &http.Server{
		Addr:         "127.0.0.1:" + port,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	if strings.HasSuffix(kind, "-tls") {
		log.Fatal(server.ListenAndServeTLS(filepath.Join(folder, "server.pem"), filepath.Join(folder, "server.key")))
	}
	log.Fatal(server.ListenAndServe())
}

func trusting(folder string) *tls.Config {
	authority, err := os.ReadFile(filepath.Join(folder, "authority.pem"))
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return &tls.Config{RootCAs: roots}
}

func answer(serve func(number string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		serve(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
		fmt.Fprint(w, "ok")
	}
}

// Two calls in sequence, by the goroutine that serves the request.
func ask(number string) {
	call(number)
	call(number)
}

// One call, then three at once, each by a goroutine of its own.
func spawn(number string) {
	call(number)
	var group sync.WaitGroup
	for i := 0; i < 3; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			call(number)
		}()
	}
	group.Wait()
}

// One call by a worker that serves all requests.
func pool(number string) {
	done := make(chan struct{})
	jobs <- job{number, done}
	<-done
}

func work() {
	for job := range jobs {
		job.run()
	}
}

// Two calls in sequence by workers that are started when all are busy, and kept for whoever comes.
func hire(number string) {
	for i := 0; i < 2; i++ {
		job := job{number, make(chan struct{})}
		select {
		case idle <- job:
		default:
			go stay(job)
		}
		<-job.done
	}
}

func stay(first job) {
	first.run()
	for job := range idle {
		job.run()
	}
}

func (j job) run() {
	call(j.number)
	close(j.done)
}

func call(number string) {
	body := fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":"number=%s"}]}`, number)
	response, err := client.Post(model, "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		log.Print(err)
		return
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		log.Print(err)
	}
}
