// The tensors and the numbers of Fixtures/operators.json.

using System.Text.Json;

namespace PeftAlign.Torch.Tests;

/// <summary>One tensor as the fixture has it; NaN and infinities are strings there.</summary>
internal sealed record StoredTensor(torch.ScalarType Dtype, long[] Shape, double[] Data)
{
    internal static StoredTensor Read(JsonElement e) => new(
        Enum.Parse<torch.ScalarType>(e.GetProperty("dtype").GetString()!, ignoreCase: true),
        [.. e.GetProperty("shape").EnumerateArray().Select(n => n.GetInt64())],
        [.. e.GetProperty("data").EnumerateArray().Select(Number)]);

    internal Tensor ToTensor() => torch.tensor(Data, Shape, Dtype).reshape(Shape).clone();

    private static double Number(JsonElement e) => e.ValueKind == JsonValueKind.Number ? e.GetDouble() : e.GetString() switch
    {
        "inf" => double.PositiveInfinity,
        "-inf" => double.NegativeInfinity,
        _ => double.NaN,
    };
}

/// <summary>A fresh copy of an input at each use, so that rows may change them in place.</summary>
internal sealed class OperatorInputs
{
    private static readonly JsonElement Fixture = JsonDocument.Parse(File.ReadAllText(Fixtures.Path("operators.json"))).RootElement;

    internal static StoredTensor[]? Expected(string row) =>
        Fixture.GetProperty("rows").TryGetProperty(row, out var list) ? [.. list.EnumerateArray().Select(StoredTensor.Read)] : null;

    internal Tensor a => Input("a");

    internal Tensor b => Input("b");

    internal Tensor p => Input("p");

    internal Tensor v => Input("v");

    internal Tensor w => Input("w");

    internal Tensor n => Input("n");

    internal Tensor c => Input("c");

    internal Tensor B0 => Input("B0");

    internal Tensor B1 => Input("B1");

    internal Tensor B2 => Input("B2");

    internal Tensor i => Input("i");

    internal Tensor j => Input("j");

    internal Tensor s => Input("s");

    internal Tensor rows => Input("rows");

    internal Tensor cols => Input("cols");

    internal Tensor classes => Input("classes");

    internal Tensor places => Input("places");

    internal Tensor src => Input("src");

    internal Tensor odd => Input("odd");

    private static Tensor Input(string name) => StoredTensor.Read(Fixture.GetProperty("inputs").GetProperty(name)).ToTensor();
}
