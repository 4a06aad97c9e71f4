import com.baidu.beidou.navi.client.HANaviRpcClient;
import com.baidu.beidou.navi.client.NaviRpcClient;
import com.baidu.beidou.navi.client.SimpleNaviRpcClient;
import com.baidu.beidou.navi.client.ha.FailOverStrategy;
import com.baidu.beidou.navi.client.ha.RRLoadBalanceStrategy;
import com.baidu.beidou.navi.protocol.JsonSerializeHandler;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;

/** Calls with Navi's own client. */
public class NaviCaller extends Caller {
    public static void main(String[] args) throws Exception {
        new NaviCaller().run();
    }

    @Override
    Object call(List<String> urls, Method method, Object[] arguments) throws Throwable {
        List<NaviRpcClient> clients = new ArrayList<>();
        for (String url : urls) {
            clients.add(new SimpleNaviRpcClient(url, 1000, 5000, new JsonSerializeHandler()));
        }
        return new HANaviRpcClient(clients, new RRLoadBalanceStrategy(new FailOverStrategy())).transport(method, arguments);
    }
}
