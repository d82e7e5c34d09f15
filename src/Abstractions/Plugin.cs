// How a plugin says what it provides. The host reads plugin.json first (no assembly loaded), then calls Register in the
// plugin's own load context.

using Microsoft.Extensions.Logging;

namespace PeftAlign.Abstractions;

/// <summary>The contracts' level, an integer compared before an assembly is loaded; raised whenever a plugin that was built before could no longer run.</summary>
public static class Api
{
    /// <summary>The level of this assembly.</summary>
    public const int Level = 2;
}

/// <summary>Names the class of a plugin assembly that registers what it provides.</summary>
/// <param name="plugin">A public class with a parameterless constructor that implements <see cref="IPlugin"/>.</param>
/// <param name="apiLevel">Left out, the level of the contracts that the plugin is compiled against: the compiler writes the
/// constant into the plugin, where the host reads it before it loads anything.</param>
[AttributeUsage(AttributeTargets.Assembly)]
public sealed class PeftAlignPluginAttribute(Type plugin, int apiLevel = Api.Level) : Attribute
{
    /// <summary>The class that registers.</summary>
    public Type Plugin { get; } = plugin;

    /// <summary>The contracts' level that the plugin was built for.</summary>
    public int ApiLevel { get; } = apiLevel;
}

/// <summary>A plugin: one assembly, one folder, any number of contracts.</summary>
public interface IPlugin
{
    /// <summary>Adds a factory for each thing provided. Must not do I/O, touch a device or keep the registry.</summary>
    /// <param name="registry">Where to add.</param>
    void Register(IPluginRegistry registry);
}

/// <summary>Takes a plugin's factories.</summary>
public interface IPluginRegistry
{
    /// <summary>Adds a named factory.</summary>
    /// <typeparam name="TContract">One of the contract interfaces of this assembly.</typeparam>
    /// <typeparam name="TOptions">Options, bound by property name in snake_case; defaults are the property initialisers.</typeparam>
    /// <param name="name">The name that manifests and commands use, for instance "dpo".</param>
    /// <param name="resultVersion">Raised by the author whenever the same options give other numbers; part of a job's identity.</param>
    /// <param name="create">Makes one instance; called once for each use.</param>
    void Add<TContract, TOptions>(string name, int resultVersion, Func<IPluginContext, TOptions, TContract> create)
        where TContract : class
        where TOptions : class, new();

    /// <summary>Adds a further name for something provided, with some of its options fixed: qlora is lora over nf4.</summary>
    /// <typeparam name="TContract">The contract of what it stands for.</typeparam>
    /// <param name="alias">The further name.</param>
    /// <param name="meaning">JSON that stands in its place, for instance {"type":"lora","quantization":"nf4"}.</param>
    void Alias<TContract>(string alias, string meaning)
        where TContract : class;
}

/// <summary>What the host lends to a plugin's instance.</summary>
public interface IPluginContext
{
    /// <summary>Where to log; messages appear in the job's log.</summary>
    ILogger Logger { get; }

    /// <summary>The plugin's own folder, read only.</summary>
    string Folder { get; }

    /// <summary>An optional capability of the host, or null.</summary>
    /// <param name="type">For instance typeof(ITokenizer) where a model is at hand.</param>
    object? GetService(Type type);
}

/// <summary>A mistake of the user: one message that names the value, the limit and the next action; exit code 2.</summary>
/// <param name="message">The message, complete sentences.</param>
/// <param name="inner">What led to it, for the log.</param>
public class UserErrorException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Restricts an option; checked at binding, shown in help and in the schema.</summary>
/// <param name="minimum">Smallest allowed value.</param>
/// <param name="maximum">Largest allowed value.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionRangeAttribute(double minimum, double maximum = double.PositiveInfinity) : Attribute
{
    /// <summary>Smallest allowed value.</summary>
    public double Minimum { get; } = minimum;

    /// <summary>Largest allowed value.</summary>
    public double Maximum { get; } = maximum;

    /// <summary>True if <see cref="Minimum"/> itself is not allowed.</summary>
    public bool ExclusiveMinimum { get; init; }
}

/// <summary>The allowed texts of an option.</summary>
/// <param name="values">All of them, as users write them.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionChoicesAttribute(params string[] values) : Attribute
{
    /// <summary>All of them.</summary>
    public IReadOnlyList<string> Values { get; } = values;
}

/// <summary>Further spellings of an option, for users of other tools (lora_alpha for alpha).</summary>
/// <param name="names">The other spellings, in snake_case.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionAliasAttribute(params string[] names) : Attribute
{
    /// <summary>The other spellings.</summary>
    public IReadOnlyList<string> Names { get; } = names;
}

/// <summary>A text that names something: a file or folder, or a thing that the manifest declares. Of a list or a map, each text in it does.</summary>
/// <param name="kind">"path" (its content is part of a job's identity, and of a YAML file that of the files which it names), "model", "dataset" or "judge".</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionNamesAttribute(string kind) : Attribute
{
    /// <summary>What kind of thing.</summary>
    public string Kind { get; } = kind;
}

/// <summary>An option that must be given: it has no default, and a plan without it is refused before any job starts. C#'s own
/// required members do not do for options: a class that has them cannot be made by its factory.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionRequiredAttribute : Attribute;

/// <summary>A list, empty unless it is given, that must hold something where it is given: without it the plugin chooses, which an empty list would not say.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionFilledAttribute : Attribute;

/// <summary>An option that cannot change a result (how often to save): recorded, but no part of a job's identity.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionRecordedAttribute : Attribute;

/// <summary>An option that means something only with certain values of another one; to give it otherwise is an error.</summary>
/// <param name="option">The other option, in snake_case.</param>
/// <param name="values">Its values as users write them, or a bound such as ">0" for numbers; none where any value will do.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionOnlyWithAttribute(string option, params string[] values) : Attribute
{
    /// <summary>The other option.</summary>
    public string Option { get; } = option;

    /// <summary>Its values.</summary>
    public IReadOnlyList<string> Values { get; } = values;
}

/// <summary>A property whose own properties are options of the class that has it, in the place where it stands: several classes share
/// them, each with its own defaults (those of the property's initial value). What the group goes only with
/// (<see cref="OptionOnlyWithAttribute"/>), each of its options does that says nothing else. The group's name is not seen by users.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionGroupAttribute : Attribute;

/// <summary>On an options class: what plans must know of the contract before it is made.</summary>
/// <param name="traits">"reference" on a method that compares with a reference policy; "controls" on one whose policies are asked under
/// controls (<see cref="ITrainsControls"/>, <see cref="IHasTextControls"/>): evaluations under a control are refused of all others;
/// "control-adapters" on one whose controls are adapters, which end there: what it makes is refused in those words alone;
/// "packs" on one that packs rows (<see cref="PrepareContext.Packing"/>): the product's others refuse packing while planning; "tokens" on
/// one that adds tokens (<see cref="IAddsTokens"/>): its policies are not merged with models that lack them; on an adapter "no-weights"
/// where no weights can hold its change, so that its policies are not merged, and "own-start" where a new one changes the policy before
/// its first update, so that reference log-probs of that start cannot be computed before;
/// "scores" on one that trains a score head (<see cref="MethodNeeds.Scores"/>): options that cut rows are refused; "column:NAME" where
/// it reads a field NAME of rows that has no place in the rows' shapes: a data set's map may then name it; on judges
/// and benchmarks those of <see cref="JudgeTraits"/>.</param>
[AttributeUsage(AttributeTargets.Class)]
public sealed class ContractTraitsAttribute(params string[] traits) : Attribute
{
    /// <summary>All of them.</summary>
    public IReadOnlyList<string> Traits { get; } = traits;

    /// <summary>Of a merge strategy: how many models it takes, like "[2,2]" or "[1,)"; else empty.</summary>
    public string Inputs { get; init; } = "";
}
