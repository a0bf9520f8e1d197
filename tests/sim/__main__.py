from __future__ import annotations
import sys, time, traceback
from tests.sim.options import draw
from tests.sim.world import World
from collections import Counter
a, b = int(sys.argv[1]), int(sys.argv[2])
t=time.process_time(); c=Counter(); bad=0
for s in range(a,b):
    w = World(draw(s), trace=len(sys.argv)>3)
    try:
        w.run()
    except BaseException as e:
        bad+=1
        print(s, type(e).__name__, str(e)[:600])
        if len(sys.argv)>3:
            print("\n".join(w.lines[-int(sys.argv[3]):])); traceback.print_exc()
    c.update({k:1 for k in w.counts}); c['events']+=w.events; c['simms']+=w.time_us//1000; c['heights']+=max(w.checkers.hashes,default=0)
t=time.process_time()-t
print(bad,'bad', t/(b-a),'s/seed', c)
