package nameserver

import (
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestDig asks with somebody else's resolver: BIND's.
func TestDig(t *testing.T) {
	program, err := exec.LookPath("dig")
	if err != nil {
		if os.Getenv("CI") != "" || os.Getenv("ABT2_CI") != "" {
			t.Fatal("dig is not installed, and CI must not leave this out: apt-get install bind9-dnsutils")
		}
		t.Skip("dig is not installed: apt-get install bind9-dnsutils")
	}
	host, port, err := net.SplitHostPort(serve(t, newBook(shop())))
	if err != nil {
		t.Fatal(err)
	}
	dig := func(args ...string) string {
		t.Helper()
		all := append([]string{"@" + host, "-p", port, "+time=5", "+tries=1"}, args...)
		out, err := exec.CommandContext(t.Context(), program, all...).CombinedOutput()
		if err != nil {
			t.Fatalf("dig %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	sorted := func(out string) string {
		lines := strings.Split(strings.TrimSpace(out), "\n")
		slices.Sort(lines)
		return strings.Join(lines, ", ")
	}
	for _, c := range []struct{ args, want string }{
		{"order.default.abt2. A", "127.0.0.1, 127.0.0.2"},
		{"+tcp order.default.abt2. A", "127.0.0.1, 127.0.0.2"},
		{"+noedns OrDer.DEFAULT.abt2. A", "127.0.0.1, 127.0.0.2"},
		{"v4.order.default.abt2. SRV", "1 1 21000 order-4-1.order.default.abt2."},
		{"order-4-1.order.default.abt2. A", "127.0.0.1"},
		{"outside.default.abt2. AAAA", "2001:db8::1"},
		{"-t ANY +notcp checkout.mall.abt2.", ""},
	} {
		if got := sorted(dig(append([]string{"+short"}, strings.Fields(c.args)...)...)); got != c.want {
			t.Errorf("dig +short %s: %q, want %q", c.args, got, c.want)
		}
	}
	for _, c := range []struct{ args, want string }{
		{"order.default.abt2. A", "status: NOERROR"},
		{"order.default.abt2. A", "flags: qr aa rd;"},
		{"order.default.abt2. A", "udp: 1232"},
		{"order.default.abt2. SRV", "order-3-1.order.default.abt2. 1\tIN\tA\t127.0.0.1"},
		{"order.default.abt2. TXT", "status: NOERROR"},
		{"order.default.abt2. TXT", "hostmaster.abt2."},
		{"oder.default.abt2. A", "status: NXDOMAIN"},
		{"oder.default.abt2. A", "hostmaster.abt2."},
		{"order.example. A", "status: REFUSED"},
		{"+edns=1 +noednsnegotiation order.default.abt2. A", "status: BADVERS"},
		{"+ignore large.default.abt2. A", "flags: qr aa tc rd;"},
		{"large.default.abt2. A", "Truncated, retrying in TCP mode"},
		{"large.default.abt2. A", "ANSWER: 500,"},
		{"large.default.abt2. SRV", "ANSWER: 500,"},
	} {
		out := dig(strings.Fields(c.args)...)
		if !strings.Contains(out, c.want) {
			t.Errorf("dig %s: has no %q:\n%.2000s", c.args, c.want, out)
		}
		for _, complaint := range []string{"WARNING: Message parser", "malformed", "mismatch"} {
			if strings.Contains(out, complaint) {
				t.Errorf("dig %s complains:\n%.2000s", c.args, out)
			}
		}
	}
}
