// The certificate as one HTML page without outside parts.

using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Merging;

internal static class CertificatePage
{
    private const string Style = "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}table{border-collapse:collapse;margin:1em 0}"
        + "td,th{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:left}td.n{text-align:right;font-variant-numeric:tabular-nums}pre{background:#f6f6f6;padding:1em;overflow:auto}code{font-size:.85em}";

    public static string Of(JsonObject certificate)
    {
        var page = new StringBuilder($"<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Merge certificate</title><style>{Style}</style></head><body>\n");
        page.Append($"<h1>Merge by {Text(certificate["merge_method"])}</h1>\n<p>Seed {Text(certificate["seed"])}. {Versions(certificate["versions"]!.AsObject())}</p>\n");
        foreach (var warning in certificate["warnings"]!.AsArray()) page.Append($"<p><b>Warning:</b> {Text(warning)}</p>\n");
        Drift(page, certificate["drift"]!.AsObject());
        page.Append("<h2>Inputs</h2>\n<table><tr><th>model</th><th>file</th><th>SHA-256</th></tr>\n");
        foreach (var input in certificate["inputs"]!.AsArray()) Files(page, Text(input!["name"]), [input["files"] as JsonObject, input["adapter_files"] as JsonObject]);
        Files(page, "result", [certificate["outputs"] as JsonObject]);
        var ties = certificate["tied_weights"]!;
        page.Append($"</table>\n<p>Output head tied to the embedding: {Text(ties["inputs"]!.ToJsonString())}; in the result: {Text(ties["result"])}.</p>\n");
        Tensors(page, certificate["tensors"]!.AsArray());
        page.Append($"<h2>Configuration</h2>\n<p><code>{Text(certificate["configuration_sha256"])}</code></p><pre>{Text(certificate["configuration"])}</pre>\n</body></html>\n");
        return page.ToString();
    }

    private static string Versions(JsonObject versions) => string.Join(", ", versions.Select(v => $"{WebUtility.HtmlEncode(v.Key)} {Text(v.Value)}")) + ".";

    private static void Drift(StringBuilder page, JsonObject drift)
    {
        page.Append($"<h2>Drift</h2>\n<p>On {Text(drift["probe_rows"])} probe texts ({Text(drift["probe"])}, <code>{Text(drift["probe_sha256"])}</code>): how far the result's next-token distributions are from each parent's.</p>\n");
        page.Append("<table><tr><th>parent</th><th>tokens</th><th>KL(parent || result) per token, nats</th><th>same first choice</th></tr>\n");
        foreach (var parent in drift["parents"]!.AsArray())
            page.Append(parent!["not_measured"] is { } reason
                ? $"<tr><td>{Text(parent["parent"])}</td><td colspan=\"3\">not measured: {Text(reason)}</td></tr>\n"
                : $"<tr><td>{Text(parent["parent"])}</td><td class=\"n\">{Text(parent["tokens"])}</td><td class=\"n\">{Number(parent["kl_per_token"])}</td><td class=\"n\">{Number(parent["top1_agreement"])}</td></tr>\n");
        page.Append("</table>\n");
        FourBits(page, Text(drift["adapters_trained_over"]), [.. drift["parents"]!.AsArray().Where(parent => parent!["over_4_bits"] is not null).Select(parent => parent!)]);
    }

    private static void FourBits(StringBuilder page, string type, List<JsonNode> parents)
    {
        if (parents.Count == 0) return;
        page.Append($"<h2>Adapters over 4 bits</h2>\n<p>These adapters were trained over the base in {type}. How far each is, over the decoded 4-bit base, from itself over the full base, and from the result.</p>\n");
        page.Append("<table><tr><th>parent</th><th>KL(4-bit || full base) per token, nats</th><th>same first choice</th><th>KL(4-bit || result) per token, nats</th><th>same first choice</th></tr>\n");
        foreach (var parent in parents)
        {
            string[] keys = ["kl_per_token_to_full_base", "top1_agreement_with_full_base", "kl_per_token", "top1_agreement"];
            page.Append($"<tr><td>{Text(parent["parent"])}</td>{string.Concat(keys.Select(key => $"<td class=\"n\">{Number(parent["over_4_bits"]![key])}</td>"))}</tr>\n");
        }
        page.Append("</table>\n");
    }

    private static void Files(StringBuilder page, string name, IEnumerable<JsonObject?> files)
    {
        foreach (var (file, hash) in files.Where(f => f is not null).SelectMany(f => f!)) page.Append($"<tr><td>{name}</td><td>{WebUtility.HtmlEncode(file)}</td><td><code>{Text(hash)}</code></td></tr>\n");
    }

    private static void Tensors(StringBuilder page, JsonArray tensors)
    {
        page.Append("<h2>Tensors</h2>\n<table><tr><th>tensor</th><th>shape</th><th>length of each model's difference (without a base: of its tensor)</th><th>of the result's</th><th>sign conflicts</th><th>changed</th></tr>\n");
        foreach (var tensor in tensors)
        {
            var norms = (tensor!["difference_norms"] ?? tensor["norms"])!.AsObject();
            page.Append($"<tr><td>{Text(tensor["name"])}</td><td>{Text(tensor["shape"]!.ToJsonString())}</td><td>{string.Join("; ", norms.Select(n => $"{WebUtility.HtmlEncode(n.Key)} {Number(n.Value)}"))}</td>"
                + $"<td class=\"n\">{Number(tensor["result_difference_norm"] ?? tensor["result_norm"])}</td><td class=\"n\">{Number(tensor["sign_conflicts"])}</td><td class=\"n\">{Number(tensor["changed"])}</td></tr>\n");
        }
        page.Append("</table>\n");
    }

    private static string Text(JsonNode? node) => WebUtility.HtmlEncode(node is null ? "" : node.GetValueKind() == JsonValueKind.String ? node.GetValue<string>() : node.ToJsonString());

    private static string Number(JsonNode? node) => node is null ? "" : node.GetValueKind() == JsonValueKind.Number ? node.GetValue<double>().ToString("0.#####", CultureInfo.InvariantCulture) : Text(node);
}
