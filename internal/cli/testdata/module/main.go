// Command module is what scripts release: it answers with its version, at /hops
// as a hop list, is sick where SICK is set, and writes where it listens into the
// file that ADDRESS names.
package main

import (
	"fmt"
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
