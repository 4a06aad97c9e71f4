package feed_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"abt2.dev"
	"abt2.dev/internal/feed"
	"abt2.dev/lane/feedpb"
)

// TestRoutesRoundTrip sends any routes over the wire format and back.
func TestRoutesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := routes().Draw(t, "routes")
		b, err := proto.Marshal(feed.RoutesToProto(want))
		if err != nil {
			t.Fatal(err)
		}
		m := &feedpb.EdgeRoutes{}
		if err := proto.Unmarshal(b, m); err != nil {
			t.Fatal(err)
		}
		got, err := feed.RoutesFromProto(m)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestTableFromProtoRefusesMalformedVersions(t *testing.T) {
	for _, table := range []*feedpb.Table{
		{Versions: []*feedpb.Version{{Id: "order"}}},
		{Environments: []*feedpb.Environment{{Id: 1, Versions: []string{"order@0"}}}},
	} {
		if _, err := feed.TableFromProto(table); abt2.CodeOf(err) != abt2.CodeInvalid {
			t.Errorf("%v: got %v, want an error of code %s", table, err, abt2.CodeInvalid)
		}
	}
}

// list draws a list which is nil when empty, as conversion makes it.
func list[T any](g *rapid.Generator[T]) *rapid.Generator[[]T] {
	return rapid.Custom(func(t *rapid.T) []T {
		if l := rapid.SliceOfN(g, 0, 3).Draw(t, "list"); len(l) > 0 {
			return l
		}
		return nil
	})
}

func routes() *rapid.Generator[abt2.EdgeRoutes] {
	name := rapid.StringMatching(`[a-z][a-z0-9-]{0,5}`)
	env := rapid.Map(rapid.Uint64(), func(n uint64) abt2.EnvironmentID { return abt2.EnvironmentID(n) })
	product := rapid.Map(name, func(s string) abt2.ProductName { return abt2.ProductName(s) })
	version := rapid.Custom(func(t *rapid.T) abt2.VersionID {
		// A name of one letter and digits: never the reserved word.
		module := fmt.Sprintf("m%d", rapid.IntRange(0, 9).Draw(t, "module"))
		return abt2.VersionID{Module: abt2.ModuleName(module), Number: rapid.Uint64Min(1).Draw(t, "number")}
	})
	return rapid.Custom(func(t *rapid.T) abt2.EdgeRoutes {
		r := abt2.EdgeRoutes{Table: abt2.Table{
			Mark:               abt2.Mark{Epoch: name.Draw(t, "epoch"), Revision: rapid.Uint64().Draw(t, "revision")},
			HighestEnvironment: env.Draw(t, "highest"),
			Products: list(rapid.Custom(func(t *rapid.T) abt2.TableProduct {
				return abt2.TableProduct{
					Name: product.Draw(t, "name"), Hosts: list(name).Draw(t, "hosts"),
					Online: env.Draw(t, "online"), Backup: env.Draw(t, "backup"), Preview: env.Draw(t, "preview"), Parked: list(env).Draw(t, "parked"),
				}
			})).Draw(t, "products"),
			Environments: list(rapid.Custom(func(t *rapid.T) abt2.TableEnvironment {
				return abt2.TableEnvironment{
					ID: env.Draw(t, "id"), Product: product.Draw(t, "product"),
					Modules: list(version).Draw(t, "modules"), WasOnline: rapid.Bool().Draw(t, "was online"),
				}
			})).Draw(t, "environments"),
			Versions: list(rapid.Custom(func(t *rapid.T) abt2.TableVersion {
				return abt2.TableVersion{
					ID: version.Draw(t, "id"), Kind: abt2.KindEdge, Prefix: name.Draw(t, "prefix"), Fallback: abt2.FallbackOnline, External: rapid.Bool().Draw(t, "external"),
					Instances: list(rapid.Custom(func(t *rapid.T) abt2.TableInstance {
						return abt2.TableInstance{ID: abt2.InstanceID(name.Draw(t, "id")), Address: name.Draw(t, "address")}
					})).Draw(t, "instances"),
				}
			})).Draw(t, "versions"),
			Names: list(rapid.Custom(func(t *rapid.T) abt2.Name {
				return abt2.Name{Module: abt2.ModuleName(name.Draw(t, "module")), Product: product.Draw(t, "product"), Address: name.Draw(t, "address")}
			})).Draw(t, "names"),
		}}
		for range rapid.IntRange(0, 3).Draw(t, "tokens") {
			if r.Tokens == nil {
				r.Tokens = map[abt2.TokenDigest]abt2.EnvironmentID{}
			}
			r.Tokens[abt2.TokenDigest(name.Draw(t, "digest"))] = env.Draw(t, "environment")
		}
		for range rapid.IntRange(0, 2).Draw(t, "shares") {
			if r.Shares == nil {
				r.Shares = map[abt2.ProductName]abt2.VisitorShare{}
			}
			r.Shares[product.Draw(t, "product")] = abt2.VisitorShare{
				Environment: env.Draw(t, "environment"), Share: abt2.Share(rapid.IntRange(1, 9999).Draw(t, "share")), Salt: name.Draw(t, "salt"),
			}
		}
		for range rapid.IntRange(0, 2).Draw(t, "skew") {
			if r.Skew == nil {
				r.Skew = map[abt2.ProductName]abt2.Skew{}
			}
			r.Skew[product.Draw(t, "product")] = abt2.Skew{
				Keep: abt2.Duration(rapid.IntRange(1, 3600).Draw(t, "seconds")) * abt2.Duration(time.Second),
				Key:  rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"),
			}
		}
		return r
	})
}
