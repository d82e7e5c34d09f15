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

        /// <summary>State of the processor's default generator as a tensor of bytes.</summary>
        public static Tensor get_rng_state() => default_generator.get_state();

        /// <summary>Gives the processor's default generator a state that <see cref="get_rng_state"/> returned.</summary>
        public static void set_rng_state(Tensor state) => default_generator.set_state(state);

        /// <summary>Seeds the default generators of all devices; returns the processor's.</summary>
        public static Generator manual_seed(long seed) => torch.manual_seed(seed);

        /// <summary>The last seed of the processor's default generator.</summary>
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

        /// <summary>A new generator on a device (the processor without one), seeded.</summary>
        public Generator(ulong seed = 0, Device? device = null)
        {
            this.device = device ?? CPU;
            Shim.Check(Shim.pa_generator_new((int)this.device.type, this.device.index, (long)seed, out var made), "Generator");
            handle = new GeneratorHandle(made);
        }

        /// <summary>Where it makes numbers: for tensors of this device only.</summary>
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

        /// <summary>Takes over a state that <see cref="get_state"/> of a generator of the same kind of device returned.</summary>
        public void set_state(Tensor state) => Shim.Check(Shim.pa_generator_state_set(handle, state.HandleFor("Generator.set_state")), "Generator.set_state");

        /// <summary>Starts the numbers of a seed; returns this generator.</summary>
        public Generator manual_seed(long seed)
        {
            Shim.Check(Shim.pa_generator_seed_set(handle, seed), "Generator.manual_seed");
            return this;
        }

        /// <summary>The seed that was set last.</summary>
        public long initial_seed()
        {
            Shim.Check(Shim.pa_generator_seed_get(handle, out var seed), "Generator.initial_seed");
            return seed;
        }

        /// <summary>Frees the generator; one that is a device's default lives on.</summary>
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
