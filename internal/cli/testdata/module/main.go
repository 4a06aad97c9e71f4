// Command module is what scripts release: it answers with its version, at /hops
// as a hop list, and is sick where SICK is set.
package main

import (
	"fmt"
	"log"
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
	log.Fatal(http.ListenAndServe(os.Getenv("HOST")+":"+os.Getenv("PORT"), nil))
}
