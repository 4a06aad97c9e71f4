module abt2.dev/lane/navi

go 1.26.0

require (
	abt2.dev/lane v0.0.0
	connectrpc.com/connect v1.21.1
	go.uber.org/goleak v1.3.0
	google.golang.org/protobuf v1.36.12
)

require go.opentelemetry.io/otel v1.47.0 // indirect

replace abt2.dev/lane => ../
