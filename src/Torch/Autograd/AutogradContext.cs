// What forward leaves for backward.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public static partial class torch
{
    public static partial class autograd
    {
        /// <summary>Carries saved tensors and values from forward to backward of one application of a function.</summary>
        public sealed class AutogradContext
        {
            private readonly Dictionary<string, object?> values = [];
            private List<Tensor> saved = [];
            private nint function;
            private bool freed;

            internal AutogradContext(int inputs) => InputCount = inputs;

            internal int InputCount { get; }

            /// <summary>Keeps tensors for backward. Inputs and outputs are kept safely: changing one in place is found out.</summary>
            public void save_for_backward(IEnumerable<Tensor> tensors) => saved = [.. tensors];

            /// <summary>In backward: the tensors that forward saved, in order.</summary>
            public List<Tensor> get_saved_variables()
            {
                if (freed) throw new InvalidOperationException("get_saved_variables: the graph of this function was freed; the context lives no longer than its graph");
                if (function == 0) return saved;
                Shim.Check(Shim.pa_function_saved_count(function, out var count), "get_saved_variables");
                var tensors = new List<Tensor>();
                for (var k = 0; k < count; k++)
                {
                    Shim.Check(Shim.pa_function_saved(function, k, out var handle), "get_saved_variables");
                    tensors.Add(Interop.Wrap(handle)!);
                }
                return tensors;
            }

            /// <summary>Keeps any other value for backward.</summary>
            public void save_data(string name, object? value) => values[name] = value;

            /// <summary>A value that forward kept.</summary>
            public object? get_data(string name) => values[name];

            internal void MoveTo(nint node, IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> attached)
            {
                for (var at = 0; at < saved.Count; at++)
                {
                    var k = Index(outputs, saved[at]);
                    Shim.Check(Shim.pa_function_save(node, (k < 0 ? saved[at] : attached[k]).HandleFor("save_for_backward", at), k < 0 ? 0 : 1), "save_for_backward");
                }
                saved = [];
            }

            internal void Enter(nint node) => function = node;

            internal void Leave()
            {
                freed = true;
                function = 0;
                values.Clear();
            }

            private static int Index(IReadOnlyList<Tensor> list, Tensor tensor)
            {
                for (var k = 0; k < list.Count; k++)
                    if (ReferenceEquals(list[k], tensor)) return k;
                return -1;
            }
        }
    }
}
