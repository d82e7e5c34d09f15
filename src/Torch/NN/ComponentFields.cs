// Fields that Module.RegisterComponents finds by reflection, in the order of their declaration, base classes first.

using System.Reflection;

namespace PeftAlign.Torch;

/// <summary>Another name for a field that RegisterComponents registers.</summary>
[AttributeUsage(AttributeTargets.Field)]
public sealed class ComponentNameAttribute : Attribute
{
    /// <summary>The name in keys of the state; the field's own without it.</summary>
    public string? Name { get; set; }
}

internal static class ComponentFields
{
    internal static IEnumerable<(string Name, object Value)> Of(torch.nn.Module module)
    {
        const BindingFlags own = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        return Classes(module.GetType()).SelectMany(type => type.GetFields(own))
            .Where(field => typeof(Tensor).IsAssignableFrom(field.FieldType) || typeof(torch.nn.Module).IsAssignableFrom(field.FieldType))
            .Select(field => (Name: NameOf(field), Value: field.GetValue(module)))
            .Where(component => component.Value != null)
            .Select(component => (component.Name, component.Value!));
    }

    private static IEnumerable<Type> Classes(Type type)
    {
        var chain = new Stack<Type>();
        for (var t = type; t != null && t != typeof(torch.nn.Module); t = t.BaseType) chain.Push(t);
        return chain;
    }

    // The field behind an automatic property is called <Name>k__BackingField.
    private static string NameOf(FieldInfo field)
    {
        if (field.GetCustomAttribute<ComponentNameAttribute>()?.Name is { } given) return given;
        return field.Name.StartsWith('<') ? field.Name[1..field.Name.IndexOf('>')] : field.Name;
    }
}
