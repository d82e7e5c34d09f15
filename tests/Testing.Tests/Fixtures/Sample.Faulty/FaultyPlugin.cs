// One thing of each kind that is right, and wrong in one way each where the option says so.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(Sample.Faulty.FaultyPlugin))]

namespace Sample.Faulty;

/// <summary>Registers both.</summary>
public sealed class FaultyPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_TEST_REGISTER") is { } fault) throw new InvalidOperationException(fault);
        registry.Add<IDatasetReader, ReaderOptions>("pairs", 1, (_, options) => new PairsReader(options.Path, options.Fault));
        registry.Add<IBenchmark, BenchmarkOptions>("sums", 1, (_, options) => new SumsBenchmark(options.Fault));
        registry.Add<IAlignmentMethod, MethodOptions>("margin", 1, (_, options) => options.Fault is MethodFault.NoneWithState or MethodFault.HidesAPartOfItsState ? new RunningMethod(options.Fault) : new MarginMethod(options.Fault));
        registry.Add<IPeftAdapter, AdapterOptions>("low", 1, (_, options) => new LowAdapter(options));
        registry.Add<IMergeStrategy, MergeOptions>("mean", 1, (_, options) => new MeanMerge(options.Weight, options.Fault));
        registry.Add<IMergeStrategy, UntoldOptions>("untold", 1, (_, options) => new MeanMerge(options.Weight, MergeFault.None));
        registry.Add<IQuantization, BitsOptions>("bits", 1, (_, options) => new Bits(options.Fault));
        foreach (var way in Enum.GetValues<ShapeFault>()) registry.Add<IModelArchitecture, ShapeOptions>($"shape-{way.ToString().ToLowerInvariant()}", 1, (_, _) => new Shape(way));
        registry.Add<ITracker, TrackerOptions>("notes", 1, (_, options) => new NotesTracker(options.Fault));
        registry.Add<IDatasetReader, CarelessOptions>("careless", 1, (_, _) => new PairsReader(null, ReaderFault.None));
    }
}

/// <summary>Options of the reader.</summary>
public sealed class ReaderOptions
{
    /// <summary>The file.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>In which way to be wrong.</summary>
    public ReaderFault Fault { get; set; }
}

/// <summary>Options of the benchmark.</summary>
public sealed class BenchmarkOptions
{
    /// <summary>In which way to be wrong.</summary>
    public BenchmarkFault Fault { get; set; }
}

/// <summary>Options without docs.</summary>
public sealed class CarelessOptions
{
    [OptionRange(0, 1)]
    public double Share { get; set; } = 1;
}
