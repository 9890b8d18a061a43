(defchor größe [Käufer Händler] (-> Käufer Händler) [maß]
  (let [länge (Käufer (* 2 maß)) naïve (Händler (+ "ß→∀ " maß)) x (Händler (len "日本語" länge))] (Käufer->Händler länge)))
