package lanegrpc_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"abt2.dev/lane"
	"abt2.dev/lane/lanegrpc"
)

// ask is a service whose methods Get and List may be called twice for one call,
// as their file says, and whose method Put may not.
const ask = "abt2.lanegrpc.test.Ask"

func init() {
	method := func(name string, level descriptorpb.MethodOptions_IdempotencyLevel, streams bool) *descriptorpb.MethodDescriptorProto {
		return &descriptorpb.MethodDescriptorProto{
			Name: &name, InputType: proto.String(".google.protobuf.Empty"), OutputType: proto.String(".google.protobuf.Empty"),
			ServerStreaming: &streams, Options: &descriptorpb.MethodOptions{IdempotencyLevel: level.Enum()},
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("abt2/lanegrpc/test/ask.proto"), Package: proto.String("abt2.lanegrpc.test"), Syntax: proto.String("proto3"),
		Dependency: []string{"google/protobuf/empty.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("Ask"), Method: []*descriptorpb.MethodDescriptorProto{
			method("Get", descriptorpb.MethodOptions_NO_SIDE_EFFECTS, false),
			method("Put", descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN, false),
			method("List", descriptorpb.MethodOptions_IDEMPOTENT, true),
		}}},
	}, protoregistry.GlobalFiles)
	if err == nil {
		err = protoregistry.GlobalFiles.RegisterFile(file)
	}
	if err != nil {
		panic(err)
	}
}

// serveAsk serves Ask by one function, which is told the method.
func serveAsk(t *testing.T, l *lane.Lane, ln *listener, answer func(ctx context.Context, method string) error) *grpc.Server {
	t.Helper()
	srv := grpc.NewServer(lanegrpc.ServerOptions(l)...)
	unary := func(name string) grpc.MethodDesc {
		return grpc.MethodDesc{MethodName: name, Handler: func(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
			in := &emptypb.Empty{}
			if err := decode(in); err != nil {
				return nil, err
			}
			return intercept(ctx, in, &grpc.UnaryServerInfo{FullMethod: "/" + ask + "/" + name}, func(ctx context.Context, _ any) (any, error) {
				return &emptypb.Empty{}, answer(ctx, name)
			})
		}}
	}
	srv.RegisterService(&grpc.ServiceDesc{
		ServiceName: ask, HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{unary("Get"), unary("Put")},
		Streams: []grpc.StreamDesc{{StreamName: "List", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			if err := s.RecvMsg(&emptypb.Empty{}); err != nil {
				return err
			}
			if err := answer(s.Context(), "List"); err != nil {
				return err
			}
			return s.SendMsg(&emptypb.Empty{})
		}}},
	}, nil)
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(srv.Stop)
	return srv
}

// callAsk calls a method of Ask.
func callAsk(ctx context.Context, c *grpc.ClientConn, method string) error {
	full := "/" + ask + "/" + method
	if method != "List" {
		return c.Invoke(ctx, full, &emptypb.Empty{}, &emptypb.Empty{})
	}
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, full)
	if err == nil {
		err = s.SendMsg(&emptypb.Empty{})
	}
	if err == nil {
		err = s.CloseSend()
	}
	for err == nil { // to its end, which is the call's
		err = s.RecvMsg(&emptypb.Empty{})
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// TestInstanceDies: what an instance had not answered when it died is answered by
// another, if it may be called twice; a method's own error is not asked for twice.
func TestInstanceDies(t *testing.T) {
	for _, c := range []struct {
		method string
		again  bool
	}{{"Get", true}, {"List", true}, {"Put", false}} {
		t.Run(c.method, func(t *testing.T) {
			dying, living := listen(t), listen(t)
			f := newFeed(t, tableOf(1, 1, map[string][]string{"order@1": {dying.address, living.address}}, "1 online web@1 order@1"))
			reached := make(chan struct{}, 1)
			first := serveAsk(t, f.join(t, "order@1", "order-1-a"), dying, func(ctx context.Context, _ string) error {
				reached <- struct{}{}
				<-ctx.Done() // until it is killed
				return ctx.Err()
			})
			serveAsk(t, f.join(t, "order@1", "order-1-b"), living, func(context.Context, string) error { return nil })
			l := f.join(t, "web@1", "web-1")
			conn := open(t, l, "order")
			called := make(chan error, 1)
			for hit := false; !hit; { // either may be picked
				go func() { called <- callAsk(testContext(t), conn, c.method) }()
				select {
				case <-reached:
					hit = true
				case err := <-called:
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			first.Stop()
			err := <-called
			if c.again && err != nil || !c.again && status.Code(err) != codes.Unavailable {
				t.Errorf("%v", err)
			}
			if s := l.Stats(); (s.Retried == 1) != c.again || len(s.Carried) != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestOwnErrorIsNotRepeated: an answer is an answer, whatever its code.
func TestOwnErrorIsNotRepeated(t *testing.T) {
	a, b := listen(t), listen(t)
	f := newFeed(t, tableOf(1, 1, map[string][]string{"order@1": {a.address, b.address}}, "1 online web@1 order@1"))
	for ln, name := range map[*listener]string{a: "order-1-a", b: "order-1-b"} {
		serveAsk(t, f.join(t, "order@1", name), ln, func(context.Context, string) error { return status.Error(codes.Unavailable, "not today") })
	}
	l := f.join(t, "web@1", "web-1")
	conn := open(t, l, "order")
	for _, method := range []string{"Get", "List"} {
		if err := callAsk(testContext(t), conn, method); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "not today") {
			t.Errorf("%s: %v", method, err)
		}
	}
	if s := l.Stats(); s.Retried != 0 {
		t.Errorf("%d were repeated", s.Retried)
	}
}
