// The 16 bytes in which one argument or result crosses to native code (pa_arg).

using System.Runtime.InteropServices;

namespace PeftAlign.Torch.Native;

internal enum Tag
{
    None = 0,
    Tensor = 1,
    Int = 2,
    Double = 3,
    Bool = 4,
    String = 5,
    Ints = 6,
    Doubles = 7,
    Bools = 8,
    Tensors = 9,
    Device = 10,
    Generator = 11,
    Default = 12,
}

[StructLayout(LayoutKind.Explicit, Size = 16)]
internal unsafe struct Arg
{
    [FieldOffset(0)] public Tag Tag;
    [FieldOffset(4)] public int Count;
    [FieldOffset(8)] public long Int;
    [FieldOffset(8)] public double Double;
    [FieldOffset(8)] public void* Pointer;
}
