// libtorch's own generators. Training does not use them: it draws from counter-based streams (Extras/CounterStream),
// whose numbers depend on no order. They are here for sampling, initialisation and ported code.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public static partial class torch
{
    /// <summary>Seeds the default generators of all devices.</summary>
    public static Generator manual_seed(long seed)
    {
        Shim.Check(Shim.pa_manual_seed(seed), "manual_seed");
        return random.default_generator;
    }

    /// <summary>The default generator's state and its seed.</summary>
    public static class random
    {
        /// <summary>The processor's default generator.</summary>
        public static Generator default_generator => Generator.Default(CPU);

        public static Tensor get_rng_state() => default_generator.get_state();

        public static void set_rng_state(Tensor state) => default_generator.set_state(state);

        public static Generator manual_seed(long seed) => torch.manual_seed(seed);

        public static long initial_seed() => default_generator.initial_seed();
    }

    /// <summary>A source of pseudo-random numbers with a state of its own.</summary>
    public sealed class Generator : IDisposable
    {
        private readonly GeneratorHandle handle;

        private Generator(GeneratorHandle handle, Device device)
        {
            this.handle = handle;
            this.device = device;
        }

        public Generator(ulong seed = 0, Device? device = null)
        {
            this.device = device ?? CPU;
            Shim.Check(Shim.pa_generator_new((int)this.device.type, this.device.index, (long)seed, out var made), "Generator");
            handle = new GeneratorHandle(made);
        }

        public Device device { get; }

        internal static Generator Default(Device device)
        {
            Shim.Check(Shim.pa_generator_default((int)device.type, device.index, out var found), "Generator");
            return new Generator(new GeneratorHandle(found), device);
        }

        /// <summary>The state as a tensor of bytes.</summary>
        public Tensor get_state()
        {
            Shim.Check(Shim.pa_generator_state_get(handle, out var state), "Generator.get_state");
            return Interop.Wrap(state)!;
        }

        public void set_state(Tensor state) => Shim.Check(Shim.pa_generator_state_set(handle, state.NativeHandle), "Generator.set_state");

        public Generator manual_seed(long seed)
        {
            Shim.Check(Shim.pa_generator_seed_set(handle, seed), "Generator.manual_seed");
            return this;
        }

        public long initial_seed()
        {
            Shim.Check(Shim.pa_generator_seed_get(handle, out var seed), "Generator.initial_seed");
            return seed;
        }

        public void Dispose() => handle.Dispose();

        internal nint Hold()
        {
            var added = false;
            handle.DangerousAddRef(ref added);
            return handle.DangerousGetHandle();
        }

        internal void Unhold() => handle.DangerousRelease();
    }
}
