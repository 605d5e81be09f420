"""Plots of the built-in stories that happen out of doors: weather, water, garden and mountain.

Standard library only; `stories.py` explains the notation.
"""

OUTDOORS_PLOTS = {
    "breeze": """
        cast: when hero blown
        - {When} {A} and {B} went for a walk in the wind. / {When} the wind was so strong that {A}
          and {B} had to hold on to each other.
        - The wind took {A}'s {thing} and carried it away. / Whoosh! The wind took {A}'s {thing}.
        - "Stop!" cried {A}, but the wind did not listen. / "Come back!" cried {A}, but the {thing}
          only flew faster.
        - They ran after the {thing}, over the wall and past the mill. / They ran after the {thing}
          as fast as they could, and {B} lost a shoe.
        - When they found the {thing}, {found}. / At last they saw the {thing}. Look, {found}!
        - {Back}, and {A} had {his} {thing} again.
        - {He} held the {thing} with both hands all the way home. / "Next time I will tie it on,"
          said {A}. / "You should buy a heavier {thing}," said {B}.
        """,
    "snowman": """
        cast: when hero
        let nose = carrot | potato | pine cone
        let wear = hat | scarf
        - {When} it snowed, and {A} and {B} made a snowman. / {When} {A} and {B} made a snowman.
        - They gave the snowman {a_nose} for a nose, and {A} gave it {his} {wear}. / The snowman had
          {a_nose} for a nose, and it wore {A}'s {wear}.
        - "Is the snowman cold?" asked {B}. "It likes the cold," said {A}. / "The snowman looks like
          {E}," said {B}. "It is not so loud," said {A}.
        - The next day the sun was warm, and the {nose} fell off. / But then the sun came out, the
          snowman grew thin, and the {nose} fell off.
        - Soon there was only a puddle, with the {nose} in it. / Soon nothing was left but a puddle
          and the {nose}.
        - "Where did the snowman go?" asked {B}. "Into the ground," said {A}. "The flowers will
          drink it." / "The snowman went home," said {A}. "It will come back with the snow."
        - In spring a yellow flower grew on that very spot. / The next winter they made another
          snowman, and it looked just the same.
        """,
    "ice": """
        cast: when hero
        let taste = lemon | cherry | mint
        - {When} {A} bought a {taste} ice cream for {B}. / {When} it was very hot, and {A} bought a
          {taste} ice cream for {B}.
        - {He} walked along the street, and the {taste} ice cream began to drip. / After ten steps
          the {taste} ice cream began to melt.
        - Drip, drip! The {taste} ice cream ran over {his} fingers. / Drip, drip! It ran down {his}
          arm, and a bee came to look.
        - {A} ran, but the sun was faster. / {A} ran over the bridge, but the sun was faster.
        - When {he} came to {B}, there was only a {taste} puddle left. / When {he} came to {B}, only
          the stick was left.
        - "What is it?" asked {B}. "It was {taste} ice cream," said {A}. / "It was very good {taste}
          ice cream," said {A} sadly.
        - {B} laughed. "Next time I will come with you," {bhe} said. / So they went back together
          and ate {taste} ice cream in the shade of the shop.
        """,
    "echo": """
        cast: when hero
        let word = noodle | pickle | pancake
        - {When} {A} and {B} climbed up to an old cave. / {When} {A} and {B} found a cave in the
          side of the mountain.
        - "Hello!" called {A}. "Hello," said the cave. / "Who is there?" called {A}. "Who is there?"
          asked the cave.
        - "A giant lives in the cave!" said {A}, and held {B}'s hand. / {A} jumped back. "There is a
          giant in the cave!" {he} said.
        - "It is only an echo," said {B}. "Your own voice comes back from the wall." / "It is only
          an echo," said {B}. "Say something nice, and it will be nice to you."
        - "I like you!" called {A}. "I like you," said the cave. / "Good morning!" called {A}. "Good
          morning," said the cave.
        - Then {B} shouted, "{Word}!" and the cave said, "{Word}." / "{Word}!" shouted {B}.
          "{Word}," said the cave.
        - They laughed, and the cave laughed too. / {B} laughed so much that {bhe} had to sit down,
          and the cave laughed too.
        - "Goodbye!" called {A}. "Goodbye," said the cave. / "The cave is very polite," said {A} on
          the way home.
        """,
    "seeds": """
        cast: when hero seed
        - {When} {E} gave {A} a {seed} seed. / {When} {A} found a {seed} seed in {his} pocket.
        - {A} put the {seed} seed in a pot, gave it water, and waited. / {A} planted the {seed} seed
          and gave it a cup of water.
        - After an hour {he} looked, but there was only earth. / The next day {he} looked, but there
          was only earth.
        - "Is my seed broken?" asked {A}. "No," said {E}. "It is only slow." / "My seed does not
          work," said {A}. "Wait," said {E}. "Seeds need sun and water and time."
        - So {A} gave the {seed} seed water every day, and told it stories too. / So {A} gave the
          {seed} seed water every day, and the sun shone on it.
        - At last a tiny green leaf came out of the earth. / At last a little green nose came out of
          the earth.
        - By the end of the summer it was {grew}. / It grew and grew until it was {grew}.
        - {Use}. / "What did you feed it?" asked {E}. "Stories," said {A}.
        """,
    "boat": """
        cast: when hero
        let heavy = stone | key | hammer
        let light = cork | leaf | feather
        - {When} {A} and {B} made a toy boat. / {When} {A} and {B} sat by the pond and made a toy
          boat.
        - "The boat needs a captain," said {A}, and put a {heavy} in it. / The boat had a paper sail
          and a captain. The captain was a {heavy}.
        - They pushed the boat with the {heavy} out onto the pond. / {B} gave the boat with the
          {heavy} a push, and off it went.
        - Glug, glug! The boat went down, and so did the {heavy}. / The boat tipped over and sank
          with the {heavy}.
        - "Why did our boat sink?" asked {A}. "The {heavy} is too heavy," said {B}. / "The {heavy}
          is too heavy," said {B}. "We need a light captain."
        - So they pulled the boat out, and the next captain was a {light}. / {A} pulled the boat out
          and made a {light} the captain.
        - This time the boat sailed across the pond with the {light}, past a surprised duck. / Now
          the boat floated all the way across the pond with the {light}.
        - "Well done, captain," said {A} to the {light}. / "Now let us sail to China," said {B}, but
          it was time for supper.
        """,
}
