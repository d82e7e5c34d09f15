// Modules with a forward function, and the hooks around it.

namespace PeftAlign.Torch;

public static partial class torch
{
    public static partial class nn
    {
        /// <summary>Takes a hook away again.</summary>
        public sealed class HookRemover
        {
            private Action? removal;

            internal HookRemover(Action removal) => this.removal = removal;

            /// <summary>Takes the hook away; a second call does nothing.</summary>
            public void remove() => Interlocked.Exchange(ref removal, null)?.Invoke();
        }

        /// <summary>A module from one input to one result.</summary>
        public abstract class Module<T, TResult> : Module
        {
            private readonly Hooks<Func<Module<T, TResult>, T, T>> before = new();
            private readonly Hooks<Func<Module<T, TResult>, T, TResult, TResult>> after = new();

            /// <summary>A module in training mode, with nothing registered.</summary>
            protected Module(string name) : base(name)
            {
            }

            /// <summary>The computation; callers use <see cref="call"/>, which runs the hooks too.</summary>
            public abstract TResult forward(T input);

            /// <summary>Runs the hooks before, forward, and the hooks after it.</summary>
            public TResult call(T input)
            {
                foreach (var hook in before.All) input = hook(this, input);
                var result = forward(input);
                foreach (var hook in after.All) result = hook(this, input, result);
                return result;
            }

            /// <summary>Runs <paramref name="hook"/>(module, input) before forward; what it returns is the input.</summary>
            public HookRemover register_forward_pre_hook(Func<Module<T, TResult>, T, T> hook) => before.Add(hook);

            /// <summary>Runs <paramref name="hook"/>(module, input, result) after forward; what it returns is the result.</summary>
            public HookRemover register_forward_hook(Func<Module<T, TResult>, T, TResult, TResult> hook) => after.Add(hook);
        }

        /// <summary>A module from two inputs to one result.</summary>
        public abstract class Module<T1, T2, TResult> : Module
        {
            private readonly Hooks<Func<Module<T1, T2, TResult>, T1, T2, (T1, T2)>> before = new();
            private readonly Hooks<Func<Module<T1, T2, TResult>, T1, T2, TResult, TResult>> after = new();

            /// <summary>A module in training mode, with nothing registered.</summary>
            protected Module(string name) : base(name)
            {
            }

            /// <summary>The computation; callers use <see cref="call"/>, which runs the hooks too.</summary>
            public abstract TResult forward(T1 input1, T2 input2);

            /// <summary>Runs the hooks before, forward, and the hooks after it.</summary>
            public TResult call(T1 input1, T2 input2)
            {
                foreach (var hook in before.All) (input1, input2) = hook(this, input1, input2);
                var result = forward(input1, input2);
                foreach (var hook in after.All) result = hook(this, input1, input2, result);
                return result;
            }

            /// <summary>Runs <paramref name="hook"/>(module, inputs) before forward; what it returns are the inputs.</summary>
            public HookRemover register_forward_pre_hook(Func<Module<T1, T2, TResult>, T1, T2, (T1, T2)> hook) => before.Add(hook);

            /// <summary>Runs <paramref name="hook"/>(module, inputs, result) after forward; what it returns is the result.</summary>
            public HookRemover register_forward_hook(Func<Module<T1, T2, TResult>, T1, T2, TResult, TResult> hook) => after.Add(hook);
        }

        // A hook may remove itself while hooks run, so the list is replaced, never changed.
        private sealed class Hooks<THook> where THook : Delegate
        {
            internal THook[] All { get; private set; } = [];

            internal HookRemover Add(THook hook)
            {
                ArgumentNullException.ThrowIfNull(hook);
                All = [.. All, hook];
                return new HookRemover(() =>
                {
                    var place = Array.FindIndex(All, h => ReferenceEquals(h, hook));
                    if (place >= 0) All = [.. All[..place], .. All[(place + 1)..]];
                });
            }
        }
    }
}
