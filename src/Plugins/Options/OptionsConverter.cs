// Between checked JSON values and .NET values. Values come from OptionsChecker, so they have the shape of their type.

using System.Collections;
using System.Reflection;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Plugins;

internal static class OptionsConverter
{
    /// <summary>A new options object with the given values set.</summary>
    /// <param name="type">The options class.</param>
    /// <param name="values">Checked values.</param>
    /// <param name="traitsOf">Traits of the judge of a definition.</param>
    /// <exception cref="PluginException">The class's constructor or a setter throws.</exception>
    public static object Create(Type type, JsonObject values, Func<JsonObject, IReadOnlyList<string>> traitsOf)
    {
        try
        {
            var options = Activator.CreateInstance(type)!;
            foreach (var option in ClassSchema.Properties(type))
                if (values.TryGetPropertyValue(ClassSchema.NameOf(option.Property), out var value))
                    option.Property.SetValue(option.Owner(options), FromJson(option.Property.PropertyType, value, traitsOf));
            return options;
        }
        catch (TargetInvocationException e)
        {
            throw new PluginException($"Options class {type.FullName} refuses its values: {e.InnerException!.Message}", e.InnerException);
        }
    }

    private static object? FromJson(Type type, JsonNode? node, Func<JsonObject, IReadOnlyList<string>> traitsOf)
    {
        if (type.IsAssignableTo(typeof(JsonNode))) return Json(type, node);
        if (node is null) return null;
        if (Nullable.GetUnderlyingType(type) is { } under) return FromJson(under, node, traitsOf);
        if (TypeMap.Element(type) is { } element)
            return TypeMap.IsMap(type) ? Map(element, node.AsObject(), traitsOf) : List(type, element, node.AsArray(), traitsOf);
        if (type == typeof(DatasetReference)) return new DatasetReference(node.DeepClone().AsObject());
        if (type == typeof(ModelReference)) return new ModelReference(node.DeepClone().AsObject());
        if (type == typeof(JudgeReference)) return new JudgeReference(node.DeepClone().AsObject()) { Traits = traitsOf(node.AsObject()) };
        if (type == typeof(bool)) return node.GetValue<bool>();
        if (type == typeof(string)) return node.GetValue<string>();
        if (type.IsEnum) return Enum.Parse(type, Enum.GetNames(type).First(name => TypeMap.EnumName(name) == node.GetValue<string>()));
        if (type == typeof(double)) return Numbers.Double(node);
        var whole = Numbers.Long(node)!.Value;
        return type == typeof(int) ? (object)(int)whole : whole;
    }

    private static JsonNode? Json(Type type, JsonNode? node) =>
        node is null || type.IsInstanceOfType(node)
            ? node?.DeepClone()
            : throw new PluginException($"The value {node.ToJsonString()} must be a JSON {(type == typeof(JsonArray) ? "list" : type == typeof(JsonObject) ? "map" : "scalar")}.");

    private static object List(Type type, Type element, JsonArray values, Func<JsonObject, IReadOnlyList<string>> traitsOf)
    {
        var array = Array.CreateInstance(element, values.Count);
        for (var k = 0; k < values.Count; k++) array.SetValue(FromJson(element, values[k], traitsOf), k);
        if (type.IsArray) return array;
        return Activator.CreateInstance(typeof(List<>).MakeGenericType(element), array)!;
    }

    private static IDictionary Map(Type element, JsonObject values, Func<JsonObject, IReadOnlyList<string>> traitsOf)
    {
        var map = (IDictionary)Activator.CreateInstance(typeof(Dictionary<,>).MakeGenericType(typeof(string), element))!;
        foreach (var (name, value) in values) map.Add(name, FromJson(element, value, traitsOf));
        return map;
    }

    /// <summary>A property's value as JSON, for defaults.</summary>
    public static JsonNode? ToJson(object? value) => value switch
    {
        null => null,
        JsonNode node => node.DeepClone(),
        bool b => JsonValue.Create(b),
        int n => JsonValue.Create((long)n),
        long n => JsonValue.Create(n),
        double d => Numbers.ToJson(d),
        string s => JsonValue.Create(s),
        Enum e => JsonValue.Create(TypeMap.EnumName(e.ToString())),
        IDictionary map => new JsonObject(map.Keys.Cast<string>().Select(key => KeyValuePair.Create(key, ToJson(map[key])))),
        IEnumerable list => new JsonArray([.. list.Cast<object?>().Select(ToJson)]),
        _ => throw new PluginException($"No option can have the type {value.GetType()}."),
    };
}
