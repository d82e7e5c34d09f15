// The text of a manifest, a merge configuration, a file of claims: UTF-8, or what a byte order mark says. Bytes that are no text are a mistake with a place, never silently replaced.

using System.Text;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Host.Running;

internal static class YamlFile
{
    // The language's limit is 4 MiB; no more than this is read to tell that a file exceeds it.
    private const int Most = 20 * 1024 * 1024;

    private static readonly Encoding Strict = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>The text of a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="next">What a user whose path leads to no file is told to do.</param>
    /// <exception cref="UserError">There is no such file, it cannot be read, or it holds no text.</exception>
    internal static string Read(string path, string next)
    {
        if (!File.Exists(path)) throw new UserError(path, "is no file", next);
        var bytes = Bytes(path);
        try
        {
            using var reader = new StreamReader(new MemoryStream(bytes), Strict, detectEncodingFromByteOrderMarks: true);
            return reader.ReadToEnd();
        }
        catch (DecoderFallbackException e)
        {
            throw new UserError(path, $"is no UTF-8 text ({Place(bytes)})", "save it as UTF-8", e);
        }
    }

    private static byte[] Bytes(string path)
    {
        try
        {
            using var file = RegularFile.Open(path);
            var bytes = new byte[Most];
            return bytes[..file.ReadAtLeast(bytes, Most, throwOnEndOfStream: false)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserError(path, $"cannot be read ({e.Message})", "name a file that you may read", e);
        }
    }

    // The line of the first byte that does not fit: every line before it is text.
    private static string Place(byte[] bytes)
    {
        var (line, start) = (1, 0);
        for (var k = 0; k < bytes.Length; k++)
            if (bytes[k] == (byte)'\n')
            {
                if (!System.Text.Unicode.Utf8.IsValid(bytes.AsSpan(start..k))) break;
                (line, start) = (line + 1, k + 1);
            }
        return $"line {line}";
    }
}
