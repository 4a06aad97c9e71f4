package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"abt2.dev"
	"abt2.dev/internal/server"
	"abt2.dev/lane/zookeeper"
	"abt2.dev/lane/zookeeper/zktest"
)

// plainCaller calls a service as a program does that knows nothing of abt2: it
// watches the unversioned path and posts Navi's message to one of those who stand
// there, to another one if that fails, and to no third.
type plainCaller struct {
	client *http.Client

	mu   sync.Mutex
	list []string
}

// watch follows who stands at the path until ctx ends. While ZooKeeper does not
// answer, the list stays as it was.
func (c *plainCaller) watch(ctx context.Context, conn *zk.Conn, p string) {
	for ctx.Err() == nil {
		list, _, fires, err := conn.ChildrenW(p)
		if err != nil {
			select {
			case <-time.After(10 * time.Millisecond): // between two attempts
			case <-ctx.Done():
			}
			continue
		}
		c.mu.Lock()
		c.list = list
		c.mu.Unlock()
		select {
		case <-fires:
		case <-ctx.Done():
		}
	}
}

func (c *plainCaller) call() (hop, error) {
	c.mu.Lock()
	list := slices.Clone(c.list)
	c.mu.Unlock()
	if len(list) == 0 {
		return hop{}, errors.New("nobody is listed")
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	var errs []error
	for _, address := range list[:min(2, len(list))] {
		h, err := c.post(address)
		if err == nil {
			return h, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", address, err))
	}
	return hop{}, errors.Join(errs...)
}

func (c *plainCaller) post(address string) (hop, error) {
	res, err := c.client.Post("http://"+address+"/service_api/Hops", "application/baidu.json;charset=UTF-8",
		bytes.NewReader([]byte(`{"traceId":1,"method":"own","parameters":[],"paramterTypes":[],"appId":null,"token":null}`)))
	if err != nil {
		return hop{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return hop{}, fmt.Errorf("status %s: %s: %w", res.Status, b, err)
	}
	var answer struct {
		Status int
		Result hop
	}
	if err := json.Unmarshal(b, &answer); err != nil || answer.Status != 0 {
		return hop{}, fmt.Errorf("%s: %w", b, err)
	}
	return answer.Result, nil
}

// TestMixedEstate switches 200 times, or 40 with -short, under load of users whose
// requests go through the SDK, and of a caller that finds order in ZooKeeper,
// while the ensemble's leader is killed again and again.
func TestMixedEstate(t *testing.T) {
	switches := 200
	if testing.Short() {
		switches = 40
	}
	e := zktest.Start(t, 3)
	in := prepare(t)
	in.tune = func(c *server.Config) {
		naviConfig(e)(c)
		c.ZooKeeper.Session = zookeeper.DefaultSessionTimeout // longer than an election
	}
	in.start()
	in.create()
	in.put("web", "order", 1, "kind: edge\nprefix: /\ninstances: 2\nhealth: /healthz\nready_timeout: 20s\n", true)
	in.put("order", "", 1, "kind: service\ninstances: 2\nhealth: /healthz\nready_timeout: 20s\nnavi: {interface: com.example.Order}\n", true)
	in.verb(abt2.VerbShip)
	in.verb(abt2.VerbCommit)
	in.verb(abt2.VerbClean)
	in.create()
	in.put("web", "order", 2, "", false)
	in.put("order", "", 2, "", false)
	in.verb(abt2.VerbShip)

	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	conn := outsider(t, e)
	empty := watchForEmpty(ctx, &group, outsider(t, e), orderPlace)
	plain := &plainCaller{client: &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext}, Timeout: 10 * time.Second}}
	defer plain.client.CloseIdleConnections()
	plain.list = listed(t, conn, orderPlace)
	group.Go(func() { plain.watch(ctx, conn, orderPlace) })
	var mu sync.Mutex
	answers := map[string]int{}
	var failures []string
	for range 2 {
		group.Go(func() {
			rate := time.NewTicker(2 * time.Millisecond)
			defer rate.Stop()
			for range rate.C {
				if ctx.Err() != nil {
					return
				}
				h, err := plain.call()
				mu.Lock()
				if err != nil {
					failures = append(failures, err.Error())
				} else {
					answers[fmt.Sprintf("%s in %d", h.Version, h.Environment)]++
				}
				mu.Unlock()
			}
		})
	}
	users := in.underLoad()

	switched := make(chan int, switches)
	var unsettled []string
	var failed error
	group.Go(func() {
		defer close(switched)
		for i := range switches {
			verb := abt2.VerbCommit
			if i%2 == 1 {
				verb = abt2.VerbRollback
			}
			out, err := in.api.Run(ctx, abt2.VerbRequest{By: ann, Verb: verb, Product: abt2.DefaultProduct, Yes: true}, func(abt2.Progress) {})
			if err != nil {
				failed = fmt.Errorf("switch %d, %s: %w", i, verb, err)
				return
			}
			unsettled = append(unsettled, append(out.Warnings, out.Unconfirmed...)...)
			switched <- i
		}
	})
	kills := 0
	for next := range switched {
		if next%20 == 10 { // and wherever the switches are by then
			leader := e.Leader()
			<-time.After(rand.N(100 * time.Millisecond)) // at random, within a switch
			e.Kill(leader)
			kills++
			e.Leader()
			e.Restart(leader)
			e.AwaitReady()
		}
	}
	requests, failedUsers, mixed := users()
	stop()
	group.Wait()
	if failed != nil {
		t.Error(failed)
	}
	t.Logf("%d switches, the leader killed %d times; users: %d requests, %d failed, %d mixed; caller in ZooKeeper: %v, %d failed; not settled at once: %d",
		switches, kills, requests, failedUsers, mixed, answers, len(failures), len(unsettled))
	if failedUsers > 0 || mixed > 0 || requests == 0 {
		t.Errorf("users: %d requests, %d failed, %d mixed; want 0 and 0", requests, failedUsers, mixed)
	}
	if len(failures) > 0 || len(answers) != 2 {
		t.Errorf("the caller in ZooKeeper: answers %v, failed: %v; want both versions, each in its environment, and no failure", answers, failures[:min(5, len(failures))])
	}
	if len(unsettled) > 0 {
		t.Errorf("not settled: %v", strings.Join(unsettled, "; "))
	}
	if n := empty(); n > 0 {
		t.Errorf("the list was empty %d times", n)
	}
	in.noDifference()
}

// watchForEmpty counts how often nobody stands at a path, at every change of it.
func watchForEmpty(ctx context.Context, group *sync.WaitGroup, conn *zk.Conn, p string) (times func() int) {
	var mu sync.Mutex
	n := 0
	group.Go(func() {
		for ctx.Err() == nil {
			list, _, fires, err := conn.ChildrenW(p)
			if err != nil {
				select {
				case <-time.After(10 * time.Millisecond): // between two attempts
				case <-ctx.Done():
				}
				continue
			}
			if len(list) == 0 {
				mu.Lock()
				n++
				mu.Unlock()
			}
			select {
			case <-fires:
			case <-ctx.Done():
			}
		}
	})
	return func() int { mu.Lock(); defer mu.Unlock(); return n }
}
