import com.baidu.beidou.navi.client.HANaviRpcClient;
import com.baidu.beidou.navi.client.NaviRpcClient;
import com.baidu.beidou.navi.client.SimpleNaviRpcClient;
import com.baidu.beidou.navi.client.ha.FailOverStrategy;
import com.baidu.beidou.navi.client.ha.RRLoadBalanceStrategy;
import com.baidu.beidou.navi.protocol.JsonSerializeHandler;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;

/**
 * Calls with Navi's own client, one call a line of standard input: addresses separated by commas, the interface, a
 * method, and its arguments, separated by tabs. It prints one line for each: "=" and the result, or "!" and the
 * exception.
 */
public class NaviCaller {
    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String line; (line = in.readLine()) != null;) {
            System.out.println(call(line.split("\t")));
        }
    }

    private static String call(String[] words) {
        List<NaviRpcClient> clients = new ArrayList<>();
        for (String address : words[0].split(",")) {
            String url = "http://" + address + "/service_api/" + words[1];
            clients.add(new SimpleNaviRpcClient(url, 1000, 5000, new JsonSerializeHandler()));
        }
        NaviRpcClient client = new HANaviRpcClient(clients, new RRLoadBalanceStrategy(new FailOverStrategy()));
        for (Method m : Orders.class.getMethods()) {
            if (m.getName().equals(words[2])) {
                try {
                    return "= " + client.transport(m, arguments(m, words));
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
