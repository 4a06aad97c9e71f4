// Command module is what scripts release: it answers with its version, at /hops
// as a hop list, is sick where SICK is set, and writes where it listens into the
// file that ADDRESS names. Where NAME is set it answers with that, and with what
// the address NEXT answers.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if os.Getenv("SICK") != "" {
			http.Error(w, "sick", http.StatusInternalServerError)
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s in environment %s\n", os.Getenv("ABT2_VERSION"), r.Header.Get("Abt2-Env"))
	})
	if name := os.Getenv("NAME"); name != "" {
		http.DefaultServeMux = http.NewServeMux()
		http.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
		http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { chain(w, name) })
	}
	http.HandleFunc("/hops", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"hops": [{"module": "web", "version": %q, "environment": %s}]}`, os.Getenv("ABT2_VERSION"), r.Header.Get("Abt2-Env"))
	})
	log.Print("serving ", os.Getenv("ABT2_VERSION"))
	l, err := net.Listen("tcp", os.Getenv("HOST")+":"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	if name := os.Getenv("ADDRESS"); name != "" {
		if err := os.WriteFile(name, []byte(l.Addr().String()+"\n"), 0o600); err != nil {
			log.Fatal(err)
		}
	}
	log.Fatal(http.Serve(l, nil))
}

// chain answers with a name and with what the next one answers.
func chain(w http.ResponseWriter, name string) {
	next := os.Getenv("NEXT")
	if next == "" {
		fmt.Fprintln(w, name)
		return
	}
	res, err := http.Get("http://" + next + "/")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	rest, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		http.Error(w, res.Status, http.StatusBadGateway)
		return
	}
	fmt.Fprintf(w, "%s > %s", name, rest)
}
