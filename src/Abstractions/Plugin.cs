// How a plugin declares what it provides. The host reads plugin.json first, without loading an assembly, then calls Register in the
// plugin's own load context.

using Microsoft.Extensions.Logging;

namespace PeftAlign.Abstractions;

/// <summary>The level of the contracts: an integer that is compared before an assembly is loaded, raised whenever plugins built against an earlier level could no longer run.</summary>
public static class Api
{
    /// <summary>The level of this assembly.</summary>
    public const int Level = 2;
}

/// <summary>Names the class of a plugin assembly that registers what it provides.</summary>
/// <param name="plugin">A public class with a parameterless constructor that implements <see cref="IPlugin"/>.</param>
/// <param name="apiLevel">By default the level of the contracts that the plugin is compiled against: the compiler writes the
/// constant into the plugin, where the host reads it before it loads anything.</param>
[AttributeUsage(AttributeTargets.Assembly)]
public sealed class PeftAlignPluginAttribute(Type plugin, int apiLevel = Api.Level) : Attribute
{
    /// <summary>The class that registers.</summary>
    public Type Plugin { get; } = plugin;

    /// <summary>The contracts' level that the plugin was built for.</summary>
    public int ApiLevel { get; } = apiLevel;
}

/// <summary>A plugin: one assembly in a folder of its own, which may provide any number of contracts.</summary>
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
    /// <param name="resultVersion">Raised by the author whenever the same options give different numbers; part of a job's identity.</param>
    /// <param name="create">Makes one instance; called once for each use.</param>
    void Add<TContract, TOptions>(string name, int resultVersion, Func<IPluginContext, TOptions, TContract> create)
        where TContract : class
        where TOptions : class, new();

    /// <summary>Adds another name for something provided, with some of its options fixed: qlora is lora over nf4.</summary>
    /// <typeparam name="TContract">The contract of the thing that it names.</typeparam>
    /// <param name="alias">The other name.</param>
    /// <param name="meaning">The JSON that replaces it, for instance {"type":"lora","quantization":"nf4"}.</param>
    void Alias<TContract>(string alias, string meaning)
        where TContract : class;
}

/// <summary>What the host offers to a plugin's instance.</summary>
public interface IPluginContext
{
    /// <summary>Where to log; messages appear in the job's log.</summary>
    ILogger Logger { get; }

    /// <summary>The plugin's own folder; read from it only.</summary>
    string Folder { get; }

    /// <summary>An optional capability of the host, or null.</summary>
    /// <param name="type">For instance typeof(ITokenizer), which is there where a model is loaded.</param>
    object? GetService(Type type);
}

/// <summary>A mistake of the user: one message that names the value, the limit and the next action; exit code 2.</summary>
/// <param name="message">The message, in complete sentences.</param>
/// <param name="inner">What led to it, for the log.</param>
public class UserErrorException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Restricts a number; checked when options are bound, shown in help and in the schema.</summary>
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

/// <summary>Other spellings of an option, for users of other tools (lora_alpha for alpha).</summary>
/// <param name="names">The other spellings, in snake_case.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionAliasAttribute(params string[] names) : Attribute
{
    /// <summary>The other spellings.</summary>
    public IReadOnlyList<string> Names { get; } = names;
}

/// <summary>A text that names something: a file or folder, or a thing that the manifest declares. In a list or a map, each text does.</summary>
/// <param name="kind">"model", "dataset", "judge" or "path". The content of a path is part of a job's identity, and so is that of the files that a YAML file names.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionNamesAttribute(string kind) : Attribute
{
    /// <summary>What kind of thing.</summary>
    public string Kind { get; } = kind;
}

/// <summary>An option that must be given: it has no default, and a plan without it is refused before any job starts. C#'s required
/// members cannot be used for options, since the host makes the class without arguments and sets its properties afterwards.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionRequiredAttribute : Attribute;

/// <summary>A list that may be left out, so that the plugin chooses, but must not be empty where it is given.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionFilledAttribute : Attribute;

/// <summary>An option that cannot change a result (how often to save): recorded, but not part of a job's identity.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionRecordedAttribute : Attribute;

/// <summary>An option that has a meaning only with certain values of another one; giving it with other values is an error.</summary>
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

/// <summary>A group of options that several classes share. The properties of the property's type become options of the class that has it,
/// in its place, with the defaults of the property's initial value. An <see cref="OptionOnlyWithAttribute"/> on the group holds for each
/// of its options that has none of its own. Users do not see the group's name.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionGroupAttribute : Attribute;

/// <summary>On an options class: facts that planning needs about the contract before an instance is made.</summary>
/// <param name="traits">
/// <para>On a method:
/// "reference": it compares with a reference policy.
/// "mixes-answers": each batch mixes the answers that it measures, so that a plan computes no reference log-probs before; "mixes-answers:OPTION=A|B": with these values of an option.
/// "controls": its policies are used under controls (<see cref="ITrainsControls"/>, <see cref="IHasTextControls"/>); evaluations under a
/// control are refused for the policies of all other methods.
/// "control-adapters": its controls are adapters, which nothing builds on: a plan that trains or merges them further is refused.
/// "packs": it packs rows (<see cref="PrepareContext.Packing"/>); the product's methods without it refuse packing while planning.
/// "tokens": it adds tokens (<see cref="IAddsTokens"/>); its policies are not merged with models that lack them.
/// "scores": it trains a score head (<see cref="MethodNeeds.Scores"/>); options that cut rows are refused.
/// "column:NAME": it reads a field NAME that is none of the rows' usual fields; a data set's map may then name it.</para>
/// <para>On an adapter:
/// "no-weights": no weights can hold its change, so its policies are not merged.
/// "own-start": a new one changes the policy before the first update, so reference log-probs of that start cannot be precomputed.</para>
/// <para>On a judge or benchmark: those of <see cref="JudgeTraits"/>; on a merge strategy: one of <see cref="MergeBase"/>.</para>
/// </param>
[AttributeUsage(AttributeTargets.Class)]
public sealed class ContractTraitsAttribute(params string[] traits) : Attribute
{
    /// <summary>All of them.</summary>
    public IReadOnlyList<string> Traits { get; } = traits;

    /// <summary>How many models a merge strategy takes, as an interval such as "[2,2]" or "[1,)"; empty for other contracts.</summary>
    public string Inputs { get; init; } = "";
}
