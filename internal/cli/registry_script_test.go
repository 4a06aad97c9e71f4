package cli_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/rogpeppe/go-internal/testscript"

	"abt2.dev/lane/zookeeper"
	"abt2.dev/lane/zookeeper/zktest"
)

// TestRegistryScripts are scripts with a ZooKeeper, at $ZOOKEEPER:
//
//	zkput PATH DATA      put a node there, as somebody else does
//	zklist PATH REGEXP   wait until the names below it, sorted and separated by blanks, are so
func TestRegistryScripts(t *testing.T) {
	e := zktest.Start(t, 1)
	conn, closeConn, err := zookeeper.Connect(zookeeper.Config{Addresses: e.Addresses()}, func(zk.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeConn)
	t.Run("scripts", func(t *testing.T) { // they are parallel: only this ends after them
		runScripts(t, "testdata/registry", map[string]string{"ZOOKEEPER": e.Connect()}, map[string]func(*testscript.TestScript, bool, []string){
			"zkput": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 2 {
					ts.Fatalf("usage: zkput PATH DATA")
				}
				ts.Check(zookeeper.Config{}.EnsureParents(conn, args[0]))
				_, err := conn.Create(args[0], []byte(args[1]), 0, zk.WorldACL(zk.PermAll))
				ts.Check(err)
			},
			"zklist": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 2 {
					ts.Fatalf("usage: zklist PATH REGEXP")
				}
				zkList(ts, conn, path.Clean(args[0]), regexp.MustCompile(args[1]))
			},
		})
	})
}

func zkList(ts *testscript.TestScript, conn *zk.Conn, at string, want *regexp.Regexp) {
	over := time.After(patience)
	for {
		names, _, changed, err := conn.ChildrenW(at)
		ts.Check(err)
		slices.Sort(names)
		list := strings.Join(names, " ")
		if want.MatchString(list) {
			return
		}
		select {
		case <-changed:
		case <-over:
			ts.Fatalf("below %s there are %q, want %s", at, list, want)
		}
	}
}
