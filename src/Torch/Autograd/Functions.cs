// Functions whose forward and backward are written in C#, as TorchSharp's SingleTensorFunction and MultiTensorFunction.
// The engine calls backward through one native callback; an exception there reaches the caller of backward() unchanged.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public static partial class torch
{
    public static partial class autograd
    {
        /// <summary>A differentiable function with several results.</summary>
        public abstract class MultiTensorFunction<T> where T : MultiTensorFunction<T>, new()
        {
            /// <summary>Name in graphs and messages.</summary>
            public abstract string Name { get; }

            /// <summary>Computes the results; it runs without being recorded.</summary>
            public abstract List<Tensor> forward(AutogradContext ctx, params object[] vars);

            /// <summary>From the results' gradients to one gradient for each tensor among the inputs of apply, in order; null for none.</summary>
            public abstract List<Tensor?> backward(AutogradContext ctx, List<Tensor> grad_outputs);

            /// <summary>Applies the function; the results are part of the graph.</summary>
            public static List<Tensor> apply(params object[] vars)
            {
                var function = new T();
                return ManagedFunction.Apply(function.Name, vars, function.forward, function.backward);
            }
        }

        /// <summary>A differentiable function with one result.</summary>
        public abstract class SingleTensorFunction<T> where T : SingleTensorFunction<T>, new()
        {
            /// <summary>Name in graphs and messages.</summary>
            public abstract string Name { get; }

            /// <summary>Computes the result; it runs without being recorded.</summary>
            public abstract Tensor forward(AutogradContext ctx, params object[] vars);

            /// <summary>From the result's gradient to one gradient for each tensor among the inputs of apply, in order; null for none.</summary>
            public abstract List<Tensor?> backward(AutogradContext ctx, Tensor grad_output);

            /// <summary>Applies the function; the result is part of the graph.</summary>
            public static Tensor apply(params object[] vars)
            {
                var function = new T();
                return ManagedFunction.Apply(function.Name, vars, (ctx, v) => [function.forward(ctx, v)], (ctx, grads) => function.backward(ctx, grads[0]))[0];
            }
        }

        /// <summary>One application of a function: forward now, backward when the engine asks for it.</summary>
        private sealed unsafe class ManagedFunction
        {
            private readonly string name;
            private readonly AutogradContext context;
            private readonly Func<AutogradContext, List<Tensor>, List<Tensor?>> backward;

            private ManagedFunction(string name, AutogradContext context, Func<AutogradContext, List<Tensor>, List<Tensor?>> backward)
            {
                this.name = name;
                this.context = context;
                this.backward = backward;
            }

            internal static List<Tensor> Apply(string name, object[] vars, Func<AutogradContext, object[], List<Tensor>> forward, Func<AutogradContext, List<Tensor>, List<Tensor?>> backward)
            {
                var inputs = vars.OfType<Tensor>().ToArray();
                var context = new AutogradContext(inputs.Length);
                var application = new ManagedFunction(name, context, backward);
                var node = application.NewNode(inputs);
                try
                {
                    List<Tensor> outputs;
                    using (no_grad()) outputs = forward(context, vars);
                    return node == 0 ? outputs : application.Finish(node, inputs, outputs);
                }
                finally
                {
                    if (node != 0) Shim.pa_function_drop(node);
                }
            }

            // No node is made, and the GC handle freed, where no input asks for a gradient.
            private nint NewNode(Tensor[] inputs)
            {
                var self = GCHandle.Alloc(this);
                nint node = 0;
                try
                {
                    Interop.WithHandles(inputs, name, (handles, n) =>
                        Shim.Check(Shim.pa_function_new(handles, n, name, &Backward, &Release, (void*)GCHandle.ToIntPtr(self), out node), name));
                }
                finally
                {
                    if (node == 0) self.Free();
                }
                return node;
            }

            // What forward made is replaced by what hangs on the graph; an input that forward returned stays the caller's.
            private List<Tensor> Finish(nint node, Tensor[] inputs, List<Tensor> outputs)
            {
                var results = new nint[outputs.Count];
                Interop.WithHandles(outputs.ToArray(), name, (handles, n) =>
                {
                    fixed (nint* r = results) Shim.Check(Shim.pa_function_finish(node, handles, n, r), name);
                });
                var attached = results.Select(handle => Interop.Wrap(handle)!).ToList();
                context.MoveTo(node, outputs, attached);
                foreach (var output in outputs)
                    if (!inputs.Contains(output, ReferenceEqualityComparer.Instance)) output.Dispose();
                return attached;
            }

            [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
            private static void Release(void* self)
            {
                var handle = GCHandle.FromIntPtr((nint)self);
                ((ManagedFunction)handle.Target!).context.Leave();
                handle.Free();
            }

            [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
            private static long Backward(void* self, void* node, nint* grads, int nGrads, nint* results, int nResults)
            {
                try
                {
                    using var scope = NewDisposeScope();
                    var incoming = new List<Tensor>(nGrads);
                    for (var k = 0; k < nGrads; k++) incoming.Add(Interop.Wrap(grads[k])!);
                    var function = (ManagedFunction)GCHandle.FromIntPtr((nint)self).Target!;
                    function.context.Enter((nint)node);
                    function.Give(function.backward(function.context, incoming), results, nResults);
                    return 0;
                }
                catch (Exception e)
                {
                    return Errors.Keep(e);
                }
            }

            private void Give(List<Tensor?> gradients, nint* results, int expected)
            {
                if (gradients.Count != expected) throw new TorchException(name, "", $"backward returned {gradients.Count} gradients for {expected} input tensors");
                for (var k = 0; k < expected; k++)
                {
                    if (gradients[k] is not { } gradient) continue;
                    Shim.Check(Shim.pa_tensor_alias(gradient.HandleFor(name + ".backward", k), out var owned), name);
                    results[k] = owned;
                }
            }
        }
    }
}
