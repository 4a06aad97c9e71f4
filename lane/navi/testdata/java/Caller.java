import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;

/**
 * Makes calls, one a line of standard input: addresses separated by commas, the interface, a method, and its
 * arguments, separated by tabs. It prints one line for each: "=" and the result, or "!" and the exception.
 */
abstract class Caller {
    /** Calls a method of Orders at one of the addresses of an interface, and at another if that fails. */
    abstract Object call(List<String> urls, Method method, Object[] arguments) throws Throwable;

    void run() throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String line; (line = in.readLine()) != null;) {
            System.out.println(answer(line.split("\t")));
        }
    }

    private String answer(String[] words) {
        List<String> urls = new ArrayList<>();
        for (String address : words[0].split(",")) {
            urls.add("http://" + address + "/service_api/" + words[1]);
        }
        for (Method m : Orders.class.getMethods()) {
            if (m.getName().equals(words[2])) {
                try {
                    return "= " + call(urls, m, arguments(m, words));
                } catch (Throwable t) {
                    return "! " + t.getClass().getSimpleName() + " " + t.getMessage();
                }
            }
        }
        return "! no method " + words[2];
    }

    private static Object[] arguments(Method m, String[] words) {
        Class<?>[] types = m.getParameterTypes();
        Object[] out = new Object[types.length];
        for (int i = 0; i < types.length; i++) {
            String word = words[3 + i];
            out[i] = types[i] == long.class ? (Object) Long.valueOf(word) : types[i] == int.class ? Integer.valueOf(word) : word;
        }
        return out;
    }
}
