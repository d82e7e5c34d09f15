// Reads the schema of an options class: public settable properties in the order of the class, bases first; those of a group stand in
// the group's place.

using System.Reflection;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Plugins;

/// <param name="Property">The property that holds the value.</param>
/// <param name="Group">The options class's property whose object has it; null where the options object itself has it.</param>
internal sealed record OptionProperty(PropertyInfo Property, PropertyInfo? Group)
{
    /// <summary>The object whose property it is.</summary>
    public object Owner(object options) => Group is null ? options
        : Group.GetValue(options) ?? throw new PluginException($"Options class {options.GetType().FullName}: the group '{Group.Name}' is null; give it an initial value.");
}

internal static class ClassSchema
{
    // The kinds of thing that a text may name; the host could do nothing with any other word.
    private static readonly string[] Nameable = ["path", "model", "dataset", "judge"];

    public static OptionsSchema Read(Type type, XmlDocs docs)
    {
        var options = Options(type, docs);
        var twice = options.SelectMany(option => option.Aliases.Prepend(option.Name)).GroupBy(name => name).FirstOrDefault(group => group.Count() > 1);
        if (twice is not null) throw new PluginException($"Options class {type.FullName}: two options answer to '{twice.Key}'; change a property's name or an alias.");
        if (options.FirstOrDefault(option => option.OnlyWith != "" && options.All(other => other.Name != option.OnlyWith.Split('=')[0])) is { } dangling)
            throw new PluginException($"Options class {type.FullName}: '{dangling.Name}' goes with '{dangling.OnlyWith}', but there is no such option; mend its OptionOnlyWith.");
        var schema = new OptionsSchema(options);
        // Plans write defaults too, so that one which no user could give would end every job.
        var faults = options.Where(option => option.Default is not null).SelectMany(option => schema.Check(new JsonObject { [option.Name] = option.Default!.DeepClone() }).Where(fault => IsOf(option, fault)));
        OptionFaults.ThrowIfAny($"Options class {type.FullName}, its initial values", [.. faults]);
        return schema;
    }

    // Other options that must be given are missing too, since only this one is checked.
    private static bool IsOf(OptionSchema option, OptionFault fault) => fault.Key == option.Name || fault.Key.StartsWith(option.Name + "[", StringComparison.Ordinal) || fault.Key.StartsWith(option.Name + ".", StringComparison.Ordinal);

    private static OptionSchema[] Options(Type type, XmlDocs docs)
    {
        try
        {
            var defaults = Activator.CreateInstance(type)!;
            return [.. Properties(type).Select(option => Option(option, option.Owner(defaults), docs))];
        }
        catch (TargetInvocationException e)
        {
            var cause = e.InnerException!;
            throw new PluginException($"Options class {type.FullName}: its constructor or a property fails with {cause.GetType().Name}: {cause.Message.TrimEnd('.')}. It is made without values for its defaults; let it only set initial values.", cause);
        }
    }

    public static IEnumerable<OptionProperty> Properties(Type type) => Readable(type).SelectMany(property => property.IsDefined(typeof(OptionGroupAttribute))
        ? Readable(property.PropertyType).Where(IsSettable).Select(own => new OptionProperty(own, property))
        : IsSettable(property) ? [new OptionProperty(property, null)] : []);

    private static IEnumerable<PropertyInfo> Readable(Type type) =>
        from property in type.GetProperties(BindingFlags.Public | BindingFlags.Instance)
        where property.GetMethod is { IsPublic: true } && property.GetIndexParameters().Length == 0
        orderby Depth(property.DeclaringType!), property.MetadataToken
        select property;

    private static bool IsSettable(PropertyInfo property) => property.SetMethod is { IsPublic: true };

    public static string NameOf(PropertyInfo property)
    {
        var name = new System.Text.StringBuilder();
        for (var k = 0; k < property.Name.Length; k++)
        {
            var letter = property.Name[k];
            // A capital opens a word, except inside an acronym: MaxURLCount is max_url_count.
            var opens = k > 0 && char.IsAsciiLetterUpper(letter) && property.Name[k - 1] != '_'
                && (!char.IsAsciiLetterUpper(property.Name[k - 1]) || (k + 1 < property.Name.Length && char.IsAsciiLetterLower(property.Name[k + 1])));
            if (opens) name.Append('_');
            name.Append(char.ToLowerInvariant(letter));
        }
        return name.ToString();
    }

    private static OptionSchema Option(OptionProperty option, object defaults, XmlDocs docs)
    {
        var property = option.Property;
        var type = TypeMap.Of(property) ?? throw new PluginException(
            $"Options class {property.DeclaringType!.FullName}: property '{property.Name}' is of type {property.PropertyType}, which no option can have. Allowed: bool, int, long, double, string, enums, these as nullable, arrays, lists or string-keyed dictionaries of these, JsonNode.");
        var range = property.GetCustomAttribute<OptionRangeAttribute>();
        var scalar = TypeMap.Scalar(property.PropertyType);
        var perModel = property.GetCustomAttribute<OptionPerModelAttribute>();
        if (perModel is not null && type.Kind != OptionKind.List)
            throw new PluginException($"Options class {property.DeclaringType!.FullName}: property '{property.Name}' has a value per model, so it must be a list.");
        if (type.Kind != OptionKind.List && property.GetCustomAttribute<OptionFilledAttribute>() is not null)
            throw new PluginException($"Options class {property.DeclaringType!.FullName}: property '{property.Name}' is {type.Words}, which is never empty; OptionFilled goes on lists.");
        // What must be given has no default; an initialiser only keeps the compiler content.
        var required = property.GetCustomAttribute<OptionRequiredAttribute>() is not null || perModel is { Fallback: null };
        var fallback = required ? null : perModel is null ? property.GetValue(defaults) : perModel.Fallback;
        if (IsNaN(fallback))
            throw new PluginException($"Options class {property.DeclaringType!.FullName}: property '{property.Name}' begins as NaN, which no manifest can hold; make it nullable and begin with null.");
        var names = property.GetCustomAttribute<OptionNamesAttribute>()?.Kind ?? "";
        if (names != "" && (scalar != typeof(string) || !Nameable.Contains(names)))
            throw new PluginException($"Options class {property.DeclaringType!.FullName}: property '{property.Name}' is {type.Words} that names a '{names}'; OptionNames goes on texts and is one of {string.Join(", ", Nameable)}.{(Nameable.Contains(names) ? "" : Suggestions.Hint(names, Nameable))}");
        return new OptionSchema(NameOf(property), type, OptionsConverter.ToJson(fallback))
        {
            Required = required,
            PerModel = perModel is not null,
            Minimum = range is null || double.IsNegativeInfinity(range.Minimum) ? null : range.Minimum,
            ExclusiveMinimum = range?.ExclusiveMinimum ?? false,
            Maximum = range is null || double.IsPositiveInfinity(range.Maximum) ? null : range.Maximum,
            Choices = property.GetCustomAttribute<OptionChoicesAttribute>()?.Values ?? (scalar.IsEnum ? TypeMap.EnumNames(scalar) : []),
            Aliases = property.GetCustomAttribute<OptionAliasAttribute>()?.Names ?? [],
            Names = names,
            Filled = property.GetCustomAttribute<OptionFilledAttribute>() is not null,
            Recorded = property.GetCustomAttribute<OptionRecordedAttribute>() is not null,
            OnlyWith = (property.GetCustomAttribute<OptionOnlyWithAttribute>() ?? option.Group?.GetCustomAttribute<OptionOnlyWithAttribute>()) is { } only ? only.Values.Count > 0 ? $"{only.Option}={string.Join('|', only.Values)}" : only.Option : "",
            Docs = docs.Summary(property),
        };
    }

    private static bool IsNaN(object? value) => value is double number ? double.IsNaN(number) : value is System.Collections.IEnumerable list and not (string or JsonNode) && (list is System.Collections.IDictionary map ? map.Values : list).Cast<object?>().Any(IsNaN);

    private static int Depth(Type type) => type.BaseType is { } parent ? Depth(parent) + 1 : 0;
}
