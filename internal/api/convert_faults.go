package api

import (
	"abt2.dev"
	abt2v1 "abt2.dev/proto/abt2/v1"
)

func faultRequestToWire(r abt2.FaultRequest) *abt2v1.DisturbRequest {
	return &abt2v1.DisturbRequest{
		By: byToWire(r.By), Product: string(r.Product), Kind: string(r.Kind), Pick: r.Pick, For: durationToWire(r.For),
	}
}

func faultRequestFromWire(r *abt2v1.DisturbRequest) abt2.FaultRequest {
	return abt2.FaultRequest{
		By: byFromWire(r.GetBy()), Product: abt2.ProductName(r.GetProduct()), Kind: abt2.FaultKind(r.GetKind()), Pick: r.GetPick(), For: durationFromWire(r.GetFor()),
	}
}

func faultToWire(f abt2.Fault) *abt2v1.Fault {
	return &abt2v1.Fault{Kind: string(f.Kind), Target: f.Target, For: durationToWire(f.For)}
}

func faultFromWire(f *abt2v1.Fault) abt2.Fault {
	return abt2.Fault{Kind: abt2.FaultKind(f.GetKind()), Target: f.GetTarget(), For: durationFromWire(f.GetFor())}
}
