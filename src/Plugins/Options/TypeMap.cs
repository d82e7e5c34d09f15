// From .NET types to option types. F# options, unions and lists are refused: plugins' options are plain classes.

using System.Reflection;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Plugins;

internal static class TypeMap
{
    private static readonly Type[] Lists =
        [typeof(List<>), typeof(IList<>), typeof(IReadOnlyList<>), typeof(ICollection<>), typeof(IReadOnlyCollection<>), typeof(IEnumerable<>)];

    private static readonly Type[] Maps = [typeof(Dictionary<,>), typeof(IDictionary<,>), typeof(IReadOnlyDictionary<,>)];

    /// <summary>The option type of a property, or null where it has none.</summary>
    public static OptionType? Of(PropertyInfo property)
    {
        var nullable = !property.PropertyType.IsValueType && new NullabilityInfoContext().Create(property).WriteState != NullabilityState.NotNull;
        if (Of(property.PropertyType) is not { } type) return null;
        return type with { Nullable = type.Nullable || nullable };
    }

    /// <summary>The element type of a list or map, the type under a nullable one, else the type itself.</summary>
    public static Type Scalar(Type type) => Nullable.GetUnderlyingType(type) ?? (Element(type) is { } element ? Scalar(element) : type);

    /// <summary>The element type of a list or of a string-keyed map, else null.</summary>
    public static Type? Element(Type type)
    {
        if (type.IsArray && type.GetArrayRank() == 1) return type.GetElementType();
        if (!type.IsGenericType) return null;
        var arguments = type.GetGenericArguments();
        if (IsMap(type)) return arguments[1];
        return Lists.Contains(type.GetGenericTypeDefinition()) ? arguments[0] : null;
    }

    public static bool IsMap(Type type) =>
        type.IsGenericType && Maps.Contains(type.GetGenericTypeDefinition()) && type.GetGenericArguments()[0] == typeof(string);

    /// <summary>An enum's members as manifests write them.</summary>
    public static IReadOnlyList<string> EnumNames(Type type) => [.. Enum.GetNames(type).Select(EnumName)];

    public static string EnumName(string member) =>
        string.Concat(member.Select((letter, k) => char.IsAsciiLetterUpper(letter) ? (k > 0 ? "_" : "") + char.ToLowerInvariant(letter) : letter.ToString()));

    private static OptionType? Of(Type type)
    {
        if (Nullable.GetUnderlyingType(type) is { } under) return Of(under) is { Element: null } plain ? plain with { Nullable = true } : null;
        if (type.IsAssignableTo(typeof(JsonNode))) return new OptionType(OptionKind.Json);
        if (Element(type) is { } element)
            return Of(element) is { Element: null } inner ? new OptionType(IsMap(type) ? OptionKind.Map : OptionKind.List, Element: inner) : null;
        return Kind(type) is { } kind ? new OptionType(kind) : null;
    }

    private static OptionKind? Kind(Type type) =>
        type == typeof(bool) ? OptionKind.Bool
        : type == typeof(int) ? OptionKind.Int
        : type == typeof(long) ? OptionKind.Long
        : type == typeof(double) ? OptionKind.Double
        : type == typeof(string) || type.IsEnum ? OptionKind.String
        : type == typeof(DatasetReference) ? OptionKind.Dataset
        : type == typeof(ModelReference) ? OptionKind.Model
        : type == typeof(JudgeReference) ? OptionKind.Judge
        : null;
}
