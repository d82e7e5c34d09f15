// The names that a state dict's pickle may import, and what they mean: torch/_utils.py (_rebuild_tensor_v2,
// _rebuild_parameter), torch/serialization.py (persistent ids of storages). All else is refused by its name.

using static PeftAlign.Torch.torch;

namespace PeftAlign.Models.Checkpoints;

internal static class PickleTensors
{
    private const int MostDimensions = 64;

    private static readonly Dictionary<string, ScalarType> StorageTypes = new()
    {
        ["FloatStorage"] = ScalarType.Float32,
        ["DoubleStorage"] = ScalarType.Float64,
        ["HalfStorage"] = ScalarType.Float16,
        ["BFloat16Storage"] = ScalarType.BFloat16,
        ["LongStorage"] = ScalarType.Int64,
        ["IntStorage"] = ScalarType.Int32,
        ["ShortStorage"] = ScalarType.Int16,
        ["CharStorage"] = ScalarType.Int8,
        ["ByteStorage"] = ScalarType.Byte,
        ["BoolStorage"] = ScalarType.Bool,
        ["ComplexFloatStorage"] = ScalarType.ComplexFloat32,
        ["ComplexDoubleStorage"] = ScalarType.ComplexFloat64,
    };

    private static readonly string[] Functions = ["collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"];

    /// <summary>A permitted name.</summary>
    public static PickleGlobal Global(string module, string name)
    {
        var global = new PickleGlobal(module, name);
        if (Functions.Contains(global.ToString()) || (module == "torch" && StorageTypes.ContainsKey(name))) return global;
        if (global.ToString() == "torch._utils._rebuild_tensor_v3")
            throw new PickleException("a tensor's dtype is not supported: an 8-bit float (float8) or an unsigned integer beyond 8 bits (_rebuild_tensor_v3). Take the checkpoint's bfloat16 release");
        throw new PickleException($"its pickle asks for {Fault.Quote(global.ToString())}, which is neither a storage nor a tensor and is never run");
    }

    /// <summary>The storage that a persistent id names: ("storage", type, key, device, count).</summary>
    public static PickleStorage Storage(object? id)
    {
        if (id is not object?[] { Length: >= 5 } parts || parts[0] is not "storage" || parts[1] is not PickleGlobal type || parts[2] is not string key || parts[4] is not long count)
            throw new PickleException("its pickle names a storage in an unknown way");
        if (!StorageTypes.TryGetValue(type.Name, out var dtype)) throw new PickleException($"its pickle uses {Fault.Quote(type.ToString())} as a storage type");
        return count >= 0 ? new PickleStorage(dtype, key, count) : throw new PickleException($"storage {Fault.Quote(key)} has {count} elements");
    }

    /// <summary>The result of a permitted call.</summary>
    public static object Call(object? function, object? arguments)
    {
        if (function is not PickleGlobal global || arguments is not object?[] given) throw new PickleException("its pickle calls what is no function");
        return (global.Name, given) switch
        {
            ("OrderedDict", { Length: 0 }) => new PickleDict(),
            ("OrderedDict", [List<object?> pairs]) => DictOf(pairs),
            ("_rebuild_tensor_v2", [PickleStorage storage, long offset, object?[] shape, object?[] strides, ..]) => Rebuild(storage, offset, shape, strides),
            ("_rebuild_parameter", [PickleTensor tensor, ..]) => tensor,
            _ => throw new PickleException($"its pickle calls {Fault.Quote(global.ToString())} with unknown arguments"),
        };
    }

    private static PickleDict DictOf(List<object?> pairs)
    {
        var dict = new PickleDict();
        foreach (var pair in pairs)
            dict.Items.Add(pair switch
            {
                object?[] { Length: 2 } tuple => new(tuple[0], tuple[1]),
                List<object?> { Count: 2 } list => new(list[0], list[1]),
                _ => throw new PickleException("its pickle makes a dict of what are no pairs"),
            });
        return dict;
    }

    private static PickleTensor Rebuild(PickleStorage storage, long offset, object?[] shape, object?[] strides)
    {
        if (shape.Length != strides.Length || shape.Length > MostDimensions)
            throw new PickleException($"a tensor has {shape.Length} sizes and {strides.Length} strides; they must be as many, and {MostDimensions} at most");
        var tensor = new PickleTensor(storage, offset, Naturals(shape), Naturals(strides));
        // Index of the last element, and the number of elements: both within the storage, in arithmetic that cannot wrap.
        UInt128 last = 0, count = 1;
        for (var k = 0; k < shape.Length; k++)
        {
            last += (UInt128)Math.Max(tensor.Shape[k] - 1, 0) * (UInt128)tensor.Strides[k];
            count = count > long.MaxValue ? count : count * (UInt128)Math.Max(tensor.Shape[k], 1);
        }
        var empty = tensor.Shape.Contains(0);
        var described = $"a tensor of shape {Fault.Shape(tensor.Shape)}, strides {Fault.Shape(tensor.Strides)} and offset {offset}";
        if (offset < 0 || offset > storage.Count || (!empty && last + (UInt128)offset >= (UInt128)storage.Count))
            throw new PickleException($"{described} reaches beyond its storage of {storage.Count} elements");
        if (empty ? count > long.MaxValue : count > (UInt128)storage.Count)
            throw new PickleException($"{described} has more elements than its storage, which has {storage.Count}; expanded tensors are not read");
        return tensor;
    }

    private static long[] Naturals(object?[] values) =>
        Array.ConvertAll(values, v => v is long and >= 0 ? (long)v : throw new PickleException("a tensor's sizes and strides must be whole numbers from 0"));
}
