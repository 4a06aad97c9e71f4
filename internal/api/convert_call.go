package api

import (
	"abt2.dev"
	abt2v1 "abt2.dev/proto/abt2/v1"
)

func callRequestToWire(r abt2.CallRequest) *abt2v1.CallRequest {
	return &abt2v1.CallRequest{
		Product: string(r.Product), Module: string(r.Module), Interface: r.Interface, Method: r.Method, Arguments: r.Arguments, Types: r.Types,
		Environment: uint64(r.Environment), Token: string(r.Token), Timeout: durationToWire(r.Timeout),
	}
}

func callRequestFromWire(r *abt2v1.CallRequest) abt2.CallRequest {
	return abt2.CallRequest{
		Product: abt2.ProductName(r.GetProduct()), Module: abt2.ModuleName(r.GetModule()), Interface: r.GetInterface(), Method: r.GetMethod(),
		Arguments: r.GetArguments(), Types: r.GetTypes(), Environment: abt2.EnvironmentID(r.GetEnvironment()), Token: abt2.Token(r.GetToken()),
		Timeout: durationFromWire(r.GetTimeout()),
	}
}

func callAnswerToWire(a abt2.CallAnswer) *abt2v1.CallResponse {
	return &abt2v1.CallResponse{
		Environment: uint64(a.Environment), Version: versionToWire(a.Version), Instance: string(a.Instance), Address: a.Address,
		Status: narrow(a.Status), Result: a.Result, Message: a.Message, Took: durationToWire(a.Took),
	}
}

func (r *reader) callAnswer(a *abt2v1.CallResponse) abt2.CallAnswer {
	return abt2.CallAnswer{
		Environment: abt2.EnvironmentID(a.GetEnvironment()), Version: r.version(a.GetVersion()), Instance: abt2.InstanceID(a.GetInstance()),
		Address: a.GetAddress(), Status: wide(a.GetStatus()), Result: a.GetResult(), Message: a.GetMessage(), Took: durationFromWire(a.GetTook()),
	}
}
