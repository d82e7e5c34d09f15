// Streams of a GPU beside the one that libtorch works on, and what orders them. libtorch owns the streams; here are their numbers.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public static partial class torch
{
    public static partial class cuda
    {
        /// <summary>Runs what follows on another stream, until the returned object is disposed; then on the one before.</summary>
        /// <param name="stream">Where to.</param>
        public static IDisposable stream(Stream stream) => new Using(stream);

        /// <summary>A queue of work on a device. Tensors that two streams use must live until both are through with them.</summary>
        public sealed class Stream
        {
            private readonly int device;
            private readonly long id;

            /// <summary>A stream of libtorch's pool.</summary>
            /// <param name="device">A CUDA device.</param>
            /// <exception cref="TorchException">It is not there.</exception>
            public Stream(Device device)
            {
                this.device = device.index;
                Shim.Check(Shim.pa_cuda_stream_new(this.device, out id), "cuda.Stream");
            }

            private Stream(int device, long id) => (this.device, this.id) = (device, id);

            /// <summary>The stream on which operators of this thread run now.</summary>
            public static Stream Current(Device device)
            {
                Shim.Check(Shim.pa_cuda_stream_now(device.index, out var id), "cuda.Stream.Current");
                return new Stream(device.index, id);
            }

            /// <summary>An event that comes when everything asked of this stream so far is done.</summary>
            public Event record_event()
            {
                Shim.Check(Shim.pa_cuda_event_record(device, id, out var handle), "cuda.Stream.record_event");
                return new Event(handle);
            }

            /// <summary>What is asked of this stream from now on waits for an event; the caller does not.</summary>
            public void wait_event(Event done)
            {
                Shim.Check(Shim.pa_cuda_event_wait(done.Handle, device, id), "cuda.Stream.wait_event");
                GC.KeepAlive(done);
            }

            internal Stream Use()
            {
                Shim.Check(Shim.pa_cuda_stream_now(device, out var before), "cuda.stream");
                Shim.Check(Shim.pa_cuda_stream_use(device, id), "cuda.stream");
                return new Stream(device, before);
            }
        }

        /// <summary>A point in a stream's work.</summary>
        public sealed class Event : IDisposable
        {
            private nint handle;

            internal Event(nint handle) => this.handle = handle;

            /// <inheritdoc cref="Dispose"/>
            ~Event() => Release();

            internal nint Handle => handle != 0 ? handle : throw new ObjectDisposedException(nameof(Event));

            /// <summary>Forgets the event; who waits for it goes on waiting.</summary>
            public void Dispose()
            {
                Release();
                GC.SuppressFinalize(this);
            }

            private void Release()
            {
                if (Interlocked.Exchange(ref handle, 0) is var held and not 0) Shim.pa_cuda_event_release(held);
            }
        }

        private sealed class Using(Stream stream) : IDisposable
        {
            private readonly Stream before = stream.Use();

            public void Dispose() => before.Use();
        }
    }
}
