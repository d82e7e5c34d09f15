// What a pickle of tensors may consist of. Nothing else can come into being while one is read.

using PeftAlign.Torch;

namespace PeftAlign.Models.Checkpoints;

/// <summary>A name that the pickle imports: a storage type or one of the few permitted functions.</summary>
internal sealed record PickleGlobal(string Module, string Name)
{
    public override string ToString() => $"{Module}.{Name}";
}

/// <summary>A part of the archive with elements of one type.</summary>
internal sealed record PickleStorage(torch.ScalarType DType, string Key, long Count);

/// <summary>A view of a storage; sizes and strides count elements.</summary>
internal sealed record PickleTensor(PickleStorage Storage, long Offset, long[] Shape, long[] Strides);

/// <summary>A dict or an OrderedDict.</summary>
internal sealed class PickleDict
{
    public List<KeyValuePair<object?, object?>> Items { get; } = [];
}

/// <summary>Marks the stack for the opcodes that take a variable number of values.</summary>
internal sealed class PickleMark
{
    public static readonly PickleMark Instance = new();
}

/// <summary>A pickle holds something that is refused; the message ends the sentence "FILE: ...".</summary>
internal sealed class PickleException(string message) : Exception(message);
