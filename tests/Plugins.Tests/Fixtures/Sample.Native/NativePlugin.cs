// A plugin with a native library of its own, beside its assembly.

using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(Sample.Native.NativePlugin))]

namespace Sample.Native;

/// <summary>Registers a reader and another of the C# sample's name, a judge, and a reader that tells of judges.</summary>
public sealed class NativePlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        registry.Add<IDatasetReader, NativeOptions>("words", 1, (_, options) => new NativeReader(options.Question));
        registry.Alias<IDatasetReader>("answers", """{ "type": "words", "question": 41 }""");
        registry.Add<IJudge, GraderOptions>("grader", 1, (_, _) => throw new InvalidOperationException("nobody opens it"));
        registry.Add<IDatasetReader, AboutOptions>("about", 1, (_, options) => new AboutReader(options));
        registry.Add<IDatasetReader, PickyOptions>("picky", 1, (_, _) => new NativeReader(1));
    }
}

/// <summary>What to ask the native library.</summary>
[ContractTraits("native")]
public sealed class NativeOptions
{
    /// <summary>A number.</summary>
    public int Question { get; set; } = 1;

    /// <summary>A file.</summary>
    [OptionNames("path")]
    [OptionRecorded]
    [OptionOnlyWith("question", "2", "3")]
    public string? Log { get; set; }
}

internal sealed class NativeReader(int question) : IDatasetReader
{
    [DllImport("sample_native")]
    private static extern int sample_answer(int question);

    public IEnumerable<DataRecord> Read(string? path) => [new DataRecord(new JsonObject { ["answer"] = sample_answer(question) }, "native", 1)];
}

/// <summary>A judge that is a language model.</summary>
[ContractTraits(JudgeTraits.Speaks)]
public sealed class GraderOptions;

/// <summary>Judges in every place where an option may name one.</summary>
public sealed class AboutOptions
{
    /// <summary>One.</summary>
    public JudgeReference? One { get; set; }

    /// <summary>Several.</summary>
    public List<JudgeReference> Several { get; set; } = [];
}

internal sealed class AboutReader(AboutOptions options) : IDatasetReader
{
    public IEnumerable<DataRecord> Read(string? split) =>
        options.Several.Append(options.One!).Select((judge, k) => new DataRecord(new JsonObject { ["traits"] = string.Join(' ', judge.Traits) }, "about", k + 1));
}

/// <summary>Reads a judge's ratings as logits.</summary>
[ContractTraits(JudgeTraits.NeedsLogits)]
public sealed class PickyOptions
{
    /// <summary>It.</summary>
    public JudgeReference? Judge { get; set; }
}
