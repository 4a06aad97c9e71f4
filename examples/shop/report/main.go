// Command report is a job as it may have stood on a machine for years: now and
// then it asks order for its products, at order's unversioned address, and
// prints a line. It imports nothing of abt2.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// abt2 gives every instance the unversioned address of each service.
	url := "http://" + cmp.Or(os.Getenv("ABT2_NAME_ORDER"), "127.0.0.1:8083") + "/products"
	every, err := time.ParseDuration(cmp.Or(os.Getenv("REPORT_EVERY"), "5s"))
	if err != nil {
		log.Fatal("REPORT_EVERY: ", err)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if line, err := report(ctx, url); err != nil {
			log.Print("report failed: ", err)
		} else {
			fmt.Println(line)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// report asks once and says in one line what it learnt.
func report(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	var answer struct {
		Products []struct {
			Cents, Left int
		}
		Hops []struct{ Version string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return "", err
	}
	left, worth := 0, 0
	for _, p := range answer.Products {
		left += p.Left
		worth += p.Left * p.Cents
	}
	line := fmt.Sprintf("report: %d articles worth %d.%02d; asked", left, worth/100, worth%100)
	for _, h := range answer.Hops {
		line += " " + cmp.Or(h.Version, "a laptop")
	}
	return line, nil
}
