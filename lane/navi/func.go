package navi

import "context"

// Func0 makes a Method of a function without arguments.
func Func0[R any](f func(context.Context) (R, error)) Method {
	return func(ctx context.Context, r *Request) (any, error) {
		if err := r.Args(); err != nil {
			return nil, err
		}
		return f(ctx)
	}
}

// Func1 makes a Method of a function with one argument.
func Func1[A, R any](f func(context.Context, A) (R, error)) Method {
	return func(ctx context.Context, r *Request) (any, error) {
		var a A
		if err := r.Args(&a); err != nil {
			return nil, err
		}
		return f(ctx, a)
	}
}

// Func2 makes a Method of a function with two arguments.
func Func2[A, B, R any](f func(context.Context, A, B) (R, error)) Method {
	return func(ctx context.Context, r *Request) (any, error) {
		var (
			a A
			b B
		)
		if err := r.Args(&a, &b); err != nil {
			return nil, err
		}
		return f(ctx, a, b)
	}
}
