Console.WriteLine("x " + string.Join(' ', args));
