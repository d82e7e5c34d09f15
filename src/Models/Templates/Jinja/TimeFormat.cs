// strftime of the C locale, with glibc's flags "-" (no padding), "_" (spaces), "0" (zeros), "^" (upper case).
using System.Globalization;
using System.Text;

namespace PeftAlign.Models.Templates.Jinja;

internal static class TimeFormat
{
    private static readonly CultureInfo C = CultureInfo.InvariantCulture;

    public static string Format(DateTime time, string format)
    {
        var text = new StringBuilder();
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 >= format.Length)
            {
                text.Append(format[i]);
                continue;
            }

            int start = i++;
            char flag = format[i] is '-' or '_' or '0' or '^' && i + 1 < format.Length ? format[i++] : '\0';
            text.Append(Field(time, format[i], flag) ?? format[start..(i + 1)]);
            Meter.Current.Characters(40);
        }

        return text.ToString();
    }

    private static string? Field(DateTime t, char code, char flag)
    {
        string? text = code switch
        {
            'Y' => Number(t.Year, 1, '0', flag),
            'C' => Number(t.Year / 100, 2, '0', flag),
            'y' => Number(t.Year % 100, 2, '0', flag),
            'm' => Number(t.Month, 2, '0', flag),
            'd' => Number(t.Day, 2, '0', flag),
            'e' => Number(t.Day, 2, ' ', flag),
            'H' => Number(t.Hour, 2, '0', flag),
            'k' => Number(t.Hour, 2, ' ', flag),
            'I' => Number(((t.Hour + 11) % 12) + 1, 2, '0', flag),
            'l' => Number(((t.Hour + 11) % 12) + 1, 2, ' ', flag),
            'M' => Number(t.Minute, 2, '0', flag),
            'S' => Number(t.Second, 2, '0', flag),
            'f' => (t.Ticks % TimeSpan.TicksPerSecond / 10).ToString("000000", C),
            'j' => Number(t.DayOfYear, 3, '0', flag),
            'u' => Number(t.DayOfWeek == 0 ? 7 : (int)t.DayOfWeek, 1, '0', flag),
            'w' => Number((int)t.DayOfWeek, 1, '0', flag),
            'U' => Number((t.DayOfYear + 6 - (int)t.DayOfWeek) / 7, 2, '0', flag),
            'W' => Number((t.DayOfYear + 6 - (((int)t.DayOfWeek + 6) % 7)) / 7, 2, '0', flag),
            'V' => Number(ISOWeek.GetWeekOfYear(t), 2, '0', flag),
            'G' => Number(ISOWeek.GetYear(t), 1, '0', flag),
            'g' => Number(ISOWeek.GetYear(t) % 100, 2, '0', flag),
            'a' => t.ToString("ddd", C),
            'A' => t.ToString("dddd", C),
            'b' or 'h' => t.ToString("MMM", C),
            'B' => t.ToString("MMMM", C),
            'p' => t.Hour < 12 ? "AM" : "PM",
            'P' => t.Hour < 12 ? "am" : "pm",
            's' => new DateTimeOffset(t).ToUnixTimeSeconds().ToString(C),
            'z' or 'Z' => "",
            'n' => "\n",
            't' => "\t",
            '%' => "%",
            _ => Composite(t, code),
        };
        return flag == '^' ? text?.ToUpperInvariant() : text;
    }

    private static string? Composite(DateTime t, char code) => code switch
    {
        'c' => Format(t, "%a %b %e %H:%M:%S %Y"),
        'D' or 'x' => Format(t, "%m/%d/%y"),
        'F' => Format(t, "%Y-%m-%d"),
        'r' => Format(t, "%I:%M:%S %p"),
        'R' => Format(t, "%H:%M"),
        'T' or 'X' => Format(t, "%H:%M:%S"),
        _ => null,
    };

    private static string Number(int value, int width, char padding, char flag) =>
        value.ToString(C).PadLeft(flag == '-' ? 0 : width, flag switch { '_' => ' ', '0' => '0', _ => padding });
}
